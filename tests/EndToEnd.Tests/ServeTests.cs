using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class ServeTests : IDisposable
{
    private static readonly TestDump s_dump = new(300_000);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Prints_netdumpds_lines()
    {
        await using var collector = await StartAsync("--http", "off");
        using var client = NewClient(collector);

        client.SendDump(s_dump);
        await collector.PrintsAsync("Completed dump from client ");
        await collector.StopAsync();

        string host = Assert.Single(collector.Dumps).Manifest.Host;
        Assert.Contains("\nWaiting for clients.\n", collector.Output, StringComparison.Ordinal);
        Assert.Contains($"\nNew dump from client {host} [{client.Address}] (to {Dumps}/partial.{client.Address}.", collector.Output, StringComparison.Ordinal);
        Assert.Contains($"\n(KDH from {host} [{client.Address}])\n", collector.Output, StringComparison.Ordinal);
        Assert.Contains($"\nCompleted dump from client {host} [{client.Address}] (vmcore.{host}.0, 300000 bytes)\n", collector.Output, StringComparison.Ordinal);
        Assert.EndsWith("\nShutting down...", collector.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Takes_netdumpds_options()
    {
        string script = _temp.File("script");
        File.WriteAllText(script, "#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done >\"$1.args\"; pwd >>\"$1.args\"\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(_temp.File("dumps/default"));
        Directory.CreateDirectory(_temp.File("dumps/asked"));
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 web1\n");
        string pidFile = _temp.File("pid");
        await using var collector = await StartAsync("-D", "-i", script, "-P", pidFile, "-p", "default", "--hosts", _temp.File("hosts"));
        // The server holds a lock on it, which this process's own ways of reading respect.
        Assert.Equal($"{collector.ProcessId}\n", (await CommandResult.RunAsync("cat", [pidFile])).Expect(0).Output);

        using (var client = NewClient(collector))
        {
            client.SendDump(s_dump);
            await Eventually.Holds(() => collector.Dumps is [{ Manifest.Script.ExitCode: 0 }], "the script ran");
            Assert.Equal(
                ["success", client.Address.ToString(), "web1", "default/info.web1.0", "default/vmcore.web1.0", Dumps],
                File.ReadAllLines(_temp.File("dumps/success.args")));
        }

        using (var client = NewClient(collector))
        {
            client.Herald("asked");
            client.SendRest(s_dump);
            client.Finish();
        }

        Assert.Equal(s_dump.Content, File.ReadAllBytes(_temp.File("dumps/default/vmcore.web1.0")));
        Assert.Equal(s_dump.Content, File.ReadAllBytes(_temp.File("dumps/asked/vmcore.web1.0")));
        await collector.StopAsync();
        Assert.False(File.Exists(pidFile));
    }

    [Fact]
    public async Task A_second_server_does_not_take_the_first_ones_pid_file()
    {
        await using var collector = await StartAsync("-P", _temp.File("pid"));

        var second = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", _temp.File("other"), "-P", _temp.File("pid"));

        Assert.Contains(_temp.File("pid"), second.Expect(3).Error, StringComparison.Ordinal);
        Assert.Equal($"{collector.ProcessId}\n", (await CommandResult.RunAsync("cat", [_temp.File("pid")])).Expect(0).Output);
    }

    [Fact]
    public async Task Ends_with_3_and_names_a_port_that_is_taken()
    {
        string address = Collector.NewServerAddress();
        using var holder = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        holder.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
        int port = ((IPEndPoint)holder.LocalEndPoint!).Port;

        var result = await Collector.RunAsync("serve", "-a", address, "--port", $"{port}", "-d", Dumps);

        Assert.StartsWith($"netdump-collector: cannot open UDP {address}:{port}: the port is in use", result.Expect(3).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/proc", "dump directory /proc is not writable: ")]
    [InlineData("/proc/netdump", "dump directory /proc/netdump cannot be created: ")]
    [InlineData("/dev/null", "dump directory /dev/null")]
    public async Task Ends_with_3_and_names_a_directory_that_cannot_be_used(string directory, string message)
    {
        var result = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", directory);
        Assert.StartsWith($"netdump-collector: {message}", result.Expect(3).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no-such-script", "-i")]
    [InlineData("no-such-hosts", "--hosts")]
    public async Task Ends_with_3_and_names_a_file_that_cannot_be_used(string file, string option)
    {
        var result = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", Dumps, option, _temp.File(file));
        Assert.Contains(_temp.File(file), result.Expect(3).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("port: invalid value \"http\"", "--port", "http")]
    [InlineData("endpoint: invalid value \"both\"", "--endpoint", "both")]
    [InlineData("endpoint-ports: invalid value \"9-1\"", "--endpoint-ports", "9-1")]
    [InlineData("path: invalid value \"../up\"", "-p", "../up")]
    [InlineData("cluster and cluster-file are both given", "--cluster", "Host=db;Database=n", "--cluster-file", "/dev/null")]
    [InlineData("it names no Database", "--cluster", "Host=db")]
    [InlineData("the keyword 'frobnicate' is none", "--cluster", "Host=db;Database=n;frobnicate=1")]
    [InlineData("--no-such-option", "--no-such-option")]
    public async Task Ends_with_2_and_names_a_setting_that_is_wrong(string message, params string[] arguments)
    {
        var result = await Collector.RunAsync(["serve", "-d", Dumps, .. arguments]);
        Assert.Contains(message, result.Expect(2).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Dumps));
    }

    [Theory]
    [InlineData("--store-key", "/nonexistent", "No such file or directory (ENOENT)")]
    [InlineData("--store-key", "/tmp", "is a directory")]
    [InlineData("--store-key", "/dev/zero", "is a device, pipe or socket")]
    [InlineData("--store-key", "/etc/hostname", "is not a key of exactly 32 bytes")]
    [InlineData("--store-public-key", "/nonexistent", "No such file or directory (ENOENT)")]
    [InlineData("--store-public-key", "/dev/zero", "is a device, pipe or socket")]
    [InlineData("--store-public-key", "/etc/hostname", "is no RSA public key in PEM")]
    [InlineData("--cluster-file", "/nonexistent", "No such file or directory (ENOENT)")]
    [InlineData("--cluster-file", "/tmp", "is a directory")]
    [InlineData("--cluster-file", "/dev/zero", "is a device, pipe or socket")]
    [InlineData("--cluster-file", "/etc/hostname", "it is not of the form KEYWORD=VALUE")]
    public async Task Ends_with_2_and_names_a_file_that_is_not_what_a_setting_wants(string option, string file, string problem)
    {
        var result = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", Dumps, "--http", "off", "--store", "s3://crashes", option, file);

        Assert.Contains($"file {file}: {problem}", result.Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains($"; name by {option} a file", result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Dumps));
    }

    [Fact]
    public async Task Warns_of_settings_that_mean_nothing()
    {
        await using var collector = await StartAsync("--http", "off", "--max-cluster-sessions", "5", "--store-key", "/nonexistent");
        await collector.StopAsync();

        Assert.Contains("warning: The setting max-cluster-sessions (option --max-cluster-sessions) does nothing without --cluster or --cluster-file\n", collector.Output, StringComparison.Ordinal);
        Assert.Contains("warning: The setting store-key (option --store-key) does nothing without --store\n", collector.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("Host=db;Database=n;frobnicate=sesame", "the keyword 'frobnicate' is none")]
    public async Task Ends_with_2_where_the_cluster_file_has_no_connection_string(string content, string problem)
    {
        File.WriteAllText(_temp.File("cluster"), content);
        var result = await Collector.RunAsync("serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", Dumps, "--http", "off", "--cluster-file", _temp.File("cluster"));

        Assert.Contains(problem, result.Expect(2).Error, StringComparison.Ordinal);
        Assert.DoesNotContain("sesame", result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Dumps));
    }

    [Fact]
    public async Task Json_logs_are_an_object_a_line_and_tell_of_the_dump()
    {
        await using var collector = await StartAsync("--log-format", "json");
        using var client = NewClient(collector);
        client.SendDump(s_dump);
        await collector.PrintsAsync("\"EventId\":1003,");
        await collector.StopAsync();

        var events = collector.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(line => line.GetProperty("EventId").GetInt32());
        Assert.Contains(1000, events.Keys);
        Assert.Contains(client.Address.ToString(), events[1001].GetProperty("State").GetProperty("Client").GetString(), StringComparison.Ordinal);
        Assert.Contains(client.Address.ToString(), events[1002].GetProperty("State").GetProperty("Client").GetString(), StringComparison.Ordinal);
        Assert.Equal("300000", events[1003].GetProperty("State").GetProperty("Bytes").ToString());
        Assert.All(events.Values, line => Assert.Equal("Information", line.GetProperty("LogLevel").GetString()));
    }

    [Fact]
    public async Task The_dumps_command_lists_shows_and_verifies_what_was_received()
    {
        await using var collector = await StartAsync();
        using var whole = NewClient(collector);
        whole.SendDump(s_dump);
        await collector.HashedDumpsAsync(1);
        string id = Assert.Single(collector.Dumps).Manifest.Id;

        using (var list = JsonDocument.Parse((await Collector.RunAsync("dumps", "list", "--json", "-d", Dumps)).Expect(0).Output))
        {
            var row = Assert.Single(list.RootElement.EnumerateArray());
            Assert.Equal((id, "complete", 300_000), (row.GetProperty("id").GetString(), row.GetProperty("status").GetString(), row.GetProperty("bytes").GetInt32()));
        }

        Assert.Contains("complete (finished)", (await Collector.RunAsync("dumps", "show", id, "-d", Dumps)).Expect(0).Output, StringComparison.Ordinal);
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", Dumps)).Expect(0);

        // One that is running, then left incomplete.
        using var running = NewClient(collector);
        running.Herald();
        running.SendBurst(s_dump);
        Assert.Contains("receiving", (await Collector.RunAsync("dumps", "list", "-d", Dumps)).Expect(0).Output, StringComparison.Ordinal);
        await collector.StopAsync();
        Assert.Contains("interrupted", (await Collector.RunAsync("dumps", "list", "-d", Dumps)).Expect(0).Output, StringComparison.Ordinal);

        // And one that somebody changed.
        using (var vmcore = File.OpenWrite(DumpCatalog.Read(Dumps).Find(id)[0].VmcorePath))
            vmcore.WriteByte((byte)(s_dump.Content[0] + 1));
        Assert.Contains("SHA-256", (await Collector.RunAsync("dumps", "verify", id, "-d", Dumps)).Expect(1).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ephemeral", false)]
    [InlineData("ephemeral", true)]
    [InlineData("shared", false)]
    [InlineData("shared", true)]
    public async Task Stopped_or_killed_in_mid_dump_the_next_one_continues_where_it_was(string endpoint, bool killed)
    {
        string address;
        int port;
        WireClient client;
        await using (var first = await StartAsync("--endpoint", endpoint))
        {
            (address, port) = (first.Address, first.Port);
            client = NewClient(first);
            client.Herald();
            client.SendBurst(s_dump);
            client.SendBurst(s_dump);
            if (killed)
                await first.KillAsync();
            else
                await first.StopAsync();
            var partial = Assert.Single(DumpCatalog.Read(Dumps).Partials, left => !left.IsRunning);
            Assert.Equal(s_dump.Content[..(4096 + 65536)], File.ReadAllBytes(partial.Path));
        }

        await using var next = await Collector.StartAtAsync(address, port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        using (client)
        {
            client.SendRest(s_dump);
            client.Finish();
        }

        var dump = Assert.Single(next.Dumps);
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.Equal(s_dump.Content, File.ReadAllBytes(dump.VmcorePath));
        Assert.Contains("Continuing the dump", next.Output, StringComparison.Ordinal);
        Assert.Empty(DumpCatalog.Read(Dumps).Problems);
    }

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_dump_whose_port_is_no_longer_to_be_had_is_not_said_to_continue(string endpoint)
    {
        string address = Collector.NewServerAddress();
        string[] arguments = ["--client-port", $"{_clientPort}", "--endpoint", endpoint, "--timeout", "2"];
        ushort sessionPort, nextPort;
        await using (var first = await Collector.StartAtAsync(address, Collector.FreePort(), Dumps, arguments))
        {
            using var client = NewClient(first);
            client.Herald();
            client.SendBurst(s_dump);
            sessionPort = client.SessionPort;
            nextPort = endpoint == "shared" ? Collector.FreePort() : first.Port;
            await first.KillAsync();
        }

        using var somebody = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        somebody.Bind(new IPEndPoint(IPAddress.Parse(address), sessionPort));
        await using var next = await Collector.StartAtAsync(address, nextPort, Dumps, arguments);
        await Eventually.Holds(() => next.Dumps is [{ Manifest: { Status: DumpStatus.Incomplete, Reason: EndReason.ClientTimedOut } }], "the dump has ended");

        Assert.Contains(" cannot be continued: ", next.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Continuing the dump", next.Output, StringComparison.Ordinal);
        await next.StopAsync();
    }

    [Fact]
    public async Task Settings_come_from_file_environment_and_command_line()
    {
        File.WriteAllText(_temp.File("config.json"), """{ "hash": "off", "endpoint": "shared", /* comments and */ "log-format": "json", }""");

        await using var collector = await StartAsync("--config", _temp.File("config.json"), "--log-format", "text");
        using var client = NewClient(collector);
        client.SendDump(s_dump);

        var manifest = Assert.Single(collector.Dumps).Manifest;
        Assert.Equal(("shared", HashState.Off), (manifest.Endpoint.Mode, manifest.HashState));
        Assert.Contains("\nWaiting for clients.", collector.Output, StringComparison.Ordinal);
    }

    private Task<Collector> StartAsync(params string[] arguments) => Collector.StartAsync(Dumps, ["--client-port", $"{_clientPort}", .. arguments]);

    private WireClient NewClient(Collector collector)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        return new(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
    }
}
