using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary><c>doctor</c> on machines that are well, and on some that are not.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DoctorTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly string _address = Collector.NewServerAddress();
    private readonly ushort _port = Collector.FreePort();
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_dump_through_the_real_socket_comes_back_equal_and_nothing_of_the_operators_is_touched(string endpoint)
    {
        // A dump that has ended, one that a killed server left running, a script and a receiver of events.
        string script = _temp.File("script");
        File.WriteAllText(script, $"#!/bin/sh\necho ran >>'{_temp.File("ran")}'\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var receiver = new TcpListener(IPAddress.Loopback, 0);
        receiver.Start();
        await LeaveDumpsAsync(Dumps);
        var before = Listing(Dumps);

        var result = await DoctorAsync("--endpoint", endpoint, "-i", script, "--webhook", $"http://{receiver.LocalEndpoint}/", "--retain-count", "1", "--keep", "head:8K", "--deny", "127.0.0.0/8");

        // A busy machine makes it slow, which is a warning.
        Assert.Matches($"(ok|warning) +synthetic dump +32.0 MiB from 127.16.0.1:[0-9]+ to {_address}:{_port} at [0-9]+ MB/s; herald answered in .* read back and equal; the server answered [0-9]+ ms", result.Expect(0).Output);
        Assert.Matches($"ok +herald port +UDP {_address}:{_port} is free", result.Output);
        Assert.Contains("dumpon -k public.pem", result.Output, StringComparison.Ordinal);
        Assert.Matches("No problems", result.Output);
        Assert.DoesNotContain('\e', result.Output);
        Assert.Equal(before, Listing(Dumps));
        Assert.False(File.Exists(_temp.File("ran")));
        using var connection = await receiver.AcceptSocketAsync();
        Assert.Equal(0, await connection.ReceiveAsync(new byte[1]));
    }

    [Fact]
    public async Task A_directory_that_is_not_there_is_not_made()
    {
        (await DoctorAsync()).Expect(0);

        Assert.Empty(Directory.EnumerateFileSystemEntries(_temp.Path));
    }

    [Fact]
    public async Task What_lies_above_a_directory_that_is_not_there_yet_is_not_taken_for_dumps()
    {
        File.WriteAllText(_temp.File("dump.web1.0.json"), "{");

        var result = (await DoctorAsync("-d", _temp.File("new/dumps"))).Expect(0);

        Assert.DoesNotContain("dump.web1.0.json", result.Output, StringComparison.Ordinal);
        Assert.Contains("none is known yet", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Programs_read_the_same()
    {
        var result = await DoctorAsync("--json");

        var document = JsonDocument.Parse(result.Expect(0).Output).RootElement;
        Assert.Equal(0, document.GetProperty("problems").GetInt32());
        var findings = document.GetProperty("findings").EnumerateArray().ToArray();
        Assert.Equal(findings.Count(finding => finding.GetProperty("level").GetString() == "warning"), document.GetProperty("warnings").GetInt32());
        Assert.Contains("read back and equal", findings.Single(finding => finding.GetProperty("subject").GetString() == "synthetic dump").GetProperty("found").GetString(), StringComparison.Ordinal);
        Assert.Equal("", result.Error);
    }

    [Fact]
    public async Task Another_program_on_the_port_is_named()
    {
        using var other = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        other.Bind(new IPEndPoint(IPAddress.Any, _port));

        var result = await DoctorAsync();

        Assert.Matches($"PROBLEM +herald port +UDP {_address}:{_port} is taken by process {Environment.ProcessId} \\(", result.Expect(1).Output);
        Assert.Contains($"stop it (kill {Environment.ProcessId}", result.Output, StringComparison.Ordinal);
        Assert.Matches("left out +synthetic dump +the herald port cannot be had", result.Output);
    }

    [Fact]
    public async Task An_address_of_another_machine_is_a_problem() =>
        Assert.Contains("192.0.2.77 is not an address of this machine", (await DoctorAsync("-a", "192.0.2.77")).Expect(1).Output, StringComparison.Ordinal);

    [Fact]
    public async Task A_file_in_the_directorys_place_is_a_problem()
    {
        File.WriteAllText(Dumps, "");

        var result = await DoctorAsync();

        Assert.Matches($"PROBLEM +dump directory +{Dumps} is not a directory", result.Expect(1).Output);
        Assert.Matches("left out +synthetic dump +the dump directory cannot be used", result.Output);
    }

    [TinyFileSystemFact]
    public async Task A_full_file_system_is_a_problem_and_is_not_filled_further()
    {
        using var tiny = new TinyFileSystem("size=4m,mode=0700", Directory.CreateDirectory(Dumps).FullName);
        File.WriteAllBytes(Path.Join(Dumps, "filler"), new byte[(4 << 20) - 8192]);

        var result = await DoctorAsync();

        Assert.Matches("PROBLEM +room +.*no dump fits", result.Expect(1).Output);
        Assert.Matches("warning +file system +tmpfs .*gone with the next reboot", result.Output);
        Assert.Equal("filler", Path.GetFileName(Assert.Single(Directory.GetFileSystemEntries(Dumps))));
    }

    [FuseTheory]
    [InlineData("read-only", "Read-only file system (EROFS)", "dump directory")]
    [InlineData("fail write ENOSPC", "no dump fits", "room")]
    [InlineData("fail write EIO", "a file of 4.0 KiB cannot be written: Input/output error (EIO)", "storage")]
    [InlineData("fail fsync EIO", "a file cannot be made durable (fsync): Input/output error (EIO)", "storage")]
    public async Task A_file_system_that_fails_is_a_problem(string fault, string found, string subject)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await files.TellAsync(fault);

        var result = await DoctorAsync();

        Assert.Contains(result.Expect(1).Output.Split('\n'), line => line.StartsWith($"PROBLEM   {subject}", StringComparison.Ordinal) && line.Contains(found, StringComparison.Ordinal));
        Assert.Matches("left out +synthetic dump +the dump directory cannot be used", result.Output);
    }

    [FuseTheory]
    [InlineData("-d")]
    public async Task A_file_system_that_hangs_is_a_problem_and_the_rest_is_looked_at(string option)
    {
        await using var slow = await SlowFileSystem.MountAsync(_temp.File("device"), Dumps);
        slow.Hang();

        var result = await DoctorAsync(option, Dumps);

        Assert.Matches($"PROBLEM +dump directory +{Dumps} did not answer within 5 s", result.Expect(1).Output);
        Assert.Matches("ok +herald port", result.Output);
        Assert.Matches("ok +webhook", result.Output);
    }

    [Fact]
    public async Task A_collector_that_runs_is_asked_and_gets_a_dump_only_when_told_to()
    {
        await using var collector = await Collector.StartAtAsync(_address, _port, Dumps, "--client-port", $"{_clientPort}");
        string http = (await collector.HttpAsync()).Authority;

        var asked = await DoctorAsync("--http", http);

        Assert.Matches($"ok +herald port +UDP {_address}:{_port} is served by process {collector.ProcessId} ", asked.Expect(0).Output);
        Assert.Matches("ok +running collector +it is ready; 0 dumps arriving", asked.Output);
        Assert.Matches("left out +synthetic dump +a collector runs", asked.Output);
        Assert.Empty(collector.Dumps);

        var sent = await DoctorAsync("--http", http, "--send");

        var dump = Assert.Single(collector.Dumps);
        Assert.Equal((DumpStatus.Complete, "doctor: synthetic dump"), (dump.Manifest.Status, dump.Manifest.Kdh!.PanicString));
        Assert.Contains($"read back and equal; stored as {dump.VmcorePath}", sent.Expect(0).Output, StringComparison.Ordinal);
        Assert.Contains($"netdump-collector dumps rm --force {dump.Manifest.Id} -d '{Dumps}'", sent.Output, StringComparison.Ordinal);
        await collector.StopAsync();
        (await Collector.RunAsync("dumps", "rm", "--force", dump.Manifest.Id, "-d", Dumps)).Expect(0);
    }

    [Fact]
    public async Task A_collector_that_is_not_ready_says_why()
    {
        await using var collector = await Collector.StartAtAsync(_address, _port, Dumps, "--client-port", $"{_clientPort}", "--min-free", "99%");

        var result = await DoctorAsync("--http", (await collector.HttpAsync()).Authority);

        Assert.Matches("PROBLEM +running collector +it would not take dumps: .*--min-free 99%", result.Expect(1).Output);
        await collector.StopAsync();
    }

    [Fact]
    public async Task A_collector_that_cannot_be_asked_is_found_by_its_port()
    {
        await using var collector = await Collector.StartAtAsync(_address, _port, Dumps, "--client-port", $"{_clientPort}", "--http", "off");

        var result = await DoctorAsync("--http", "off", "--send");

        Assert.Matches("warning +running collector +it could not be asked", result.Expect(0).Output);
        Assert.Matches("ok +synthetic dump", result.Output);
        await collector.StopAsync();
    }

    [Fact]
    public async Task Who_may_not_dump_sends_nothing()
    {
        await using var collector = await Collector.StartAtAsync(_address, _port, Dumps, "--client-port", $"{_clientPort}", "--allow", "10.0.0.0/8");

        var result = await DoctorAsync("--http", "off", "--send", "--allow", "10.0.0.0/8");

        Assert.Matches("left out +synthetic dump +--allow and --deny let no address of this machine dump", result.Expect(0).Output);
        await collector.StopAsync();
    }

    [Fact]
    public async Task What_a_killed_doctor_left_is_no_dump_to_anybody_and_goes_with_the_next_one()
    {
        Directory.CreateDirectory(Dumps);
        string left = Path.Join(Dumps, ".doctor.0123456789abcdef0123456789abcdef", "dumps");
        await LeaveDumpsAsync(left);
        Assert.Single(DumpCatalog.Read(left).Partials);

        await using (var collector = await Collector.StartAtAsync(_address, _port, Dumps, "--client-port", $"{_clientPort}"))
        {
            await collector.HttpAsync();
            await collector.StopAsync();
            Assert.DoesNotContain("Continuing the dump", collector.Output, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("partial", (await Collector.RunAsync("dumps", "list", "-d", Dumps)).Expect(0).Output, StringComparison.Ordinal);
        Assert.Single(DumpCatalog.Read(left).Partials);
        Assert.Contains("removed what 1 earlier runs of doctor left", (await DoctorAsync()).Expect(0).Output, StringComparison.Ordinal);
        Assert.False(Directory.Exists(left));
    }

    [Fact]
    public async Task Who_interrupts_it_finds_nothing_of_it()
    {
        Directory.CreateDirectory(Dumps);
        using var doctor = new Process { StartInfo = CommandResult.StartInfoOf(Collector.Executable, Arguments([])) };
        doctor.Start();
        var output = doctor.StandardOutput.ReadToEndAsync();
        var error = doctor.StandardError.ReadToEndAsync();
        await Eventually.Holds(() => doctor.HasExited || Directory.EnumerateDirectories(Dumps, ".doctor.*").Any(), "a trial directory");

        if (!doctor.HasExited)
            doctor.Send(Signal.Terminate);
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await doctor.WaitForExitAsync(timeUp.Token);

        await Task.WhenAll(output, error);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Dumps));
    }

    /// <summary>A complete dump, and one that a killed server was receiving.</summary>
    private async Task LeaveDumpsAsync(string directory)
    {
        await using var collector = await Collector.StartAsync(directory, "--client-port", $"{_clientPort}");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using (var whole = new WireClient(Collector.NewClientAddresses(), _clientPort, server, collector.Port))
            whole.SendDump(new(100_000));
        using var client = new WireClient(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);
        await collector.HashedDumpsAsync(1);
        await collector.KillAsync();
    }

    private static string[] Listing(string directory) => [.. new DirectoryInfo(directory).EnumerateFileSystemInfos("*", SearchOption.AllDirectories)
        .Select(entry => $"{entry.FullName} {entry.LastWriteTimeUtc:O} {(entry as FileInfo)?.Length}").Order(StringComparer.Ordinal)];

    private Task<CommandResult> DoctorAsync(params string[] options) => Collector.RunAsync(Arguments(options));

    private string[] Arguments(string[] options) =>
    [
        "doctor",
        .. options.Contains("-a") ? [] : (string[])["-a", _address],
        .. options.Contains("-d") ? [] : (string[])["-d", Dumps],
        .. options.Contains("--http") ? [] : (string[])["--http", "off"],
        "--port", $"{_port}", "--client-port", $"{_clientPort}", .. options,
    ];
}
