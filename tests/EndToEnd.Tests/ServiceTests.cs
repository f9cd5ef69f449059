using System.Globalization;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The collector under a service manager.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ServiceTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task It_reports_that_it_is_ready_how_it_gets_on_and_that_it_ends(bool isAbstract)
    {
        using var manager = new NotifyListener(isAbstract ? $"@netdump-test-{Guid.NewGuid():n}" : _temp.File("notify"));
        await using var service = Start(manager, watchdogUs: null);

        Assert.Equal(["READY=1", "STATUS=Serving: 0 dumps arriving, 0 complete, 0 not complete"], await manager.NextAsync());
        // The port is there now: another server cannot have it.
        await service.PrintsAsync("Listening on ");
        service.Terminate();
        string[] last = await manager.NextWithAsync("STOPPING=1");

        Assert.Contains(last, line => line.StartsWith("STATUS=Shutting down: ", StringComparison.Ordinal));
        string extension = Assert.Single(last, line => line.StartsWith("EXTEND_TIMEOUT_USEC=", StringComparison.Ordinal));
        Assert.InRange(long.Parse(extension["EXTEND_TIMEOUT_USEC=".Length..], CultureInfo.InvariantCulture), 5_000_000, 120_000_000);
        await service.EndsAsync();
    }

    [Fact]
    public async Task Signs_of_life_come_while_the_loops_do_their_work_and_stop_when_one_does_not()
    {
        using var manager = new NotifyListener(_temp.File("notify"));
        await using var service = Start(manager, watchdogUs: 400_000, "--loops", "2");
        await manager.NextWithAsync("WATCHDOG=1");
        await manager.NextWithAsync("WATCHDOG=1");

        int signs = 0;
        using (StoppedThread.ByName(service.ProcessId, "loop-1"))
        {
            // What was sent before.
            while (manager.HasMessage)
                await manager.NextAsync();
            await service.PrintsAsync("Event loop 1 has not answered for 0.2 s");
            while (manager.HasMessage)
                signs += (await manager.NextAsync()).Contains("WATCHDOG=1") ? 1 : 0;
        }

        // The loop may have answered once before it was stopped.
        Assert.InRange(signs, 0, 2);
        await manager.NextWithAsync("WATCHDOG=1");
        Assert.DoesNotContain("Event loop 0 has not answered", service.Output, StringComparison.Ordinal);
        service.Terminate();
        await service.EndsAsync();
    }

    [Fact]
    public async Task A_watchdog_that_is_another_process_s_is_left_alone()
    {
        using var manager = new NotifyListener(_temp.File("notify"));
        await using var service = Start(manager, watchdogUs: 1_000, watchdogProcess: 1, []);

        await manager.NextWithAsync("READY=1");
        await manager.NextWithAsync("WATCHDOG=1");
        // A sign every half millisecond would have come long since.
        service.Terminate();
        string[] next = await manager.NextAsync();
        Assert.Contains("STOPPING=1", next);
        await service.EndsAsync();
    }

    [Fact]
    public async Task What_it_makes_is_its_users_alone_whatever_umask_it_was_given()
    {
        using var manager = new NotifyListener(_temp.File("notify"));
        await using var service = Start(manager, watchdogUs: null, "-P", _temp.File("pid"));
        await manager.NextWithAsync("READY=1");

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_temp.File("pid")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Dumps));
        Assert.DoesNotContain("has mode", service.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("755", "other users can see which hosts panicked and when")]
    [InlineData("777", "other users can remove dumps")]
    public async Task A_dump_directory_that_others_reach_is_told_of_with_the_command_against_it(string mode, string finding)
    {
        Directory.CreateDirectory(Dumps);
        (await CommandResult.RunAsync("chmod", [mode, Dumps])).Expect(0);
        using var manager = new NotifyListener(_temp.File("notify"));
        await using var service = Start(manager, watchdogUs: null);

        await service.PrintsAsync($"warning: dump directory {Dumps} has mode 0{mode}: {finding}");
        Assert.Contains($"run: chmod 0700 '{Dumps}'", service.Output, StringComparison.Ordinal);
    }

    private ServiceProcess Start(NotifyListener manager, int? watchdogUs, params string[] arguments) => Start(manager, watchdogUs, watchdogProcess: null, arguments);

    private ServiceProcess Start(NotifyListener manager, int? watchdogUs, int? watchdogProcess, string[] arguments)
    {
        var environment = new Dictionary<string, string>
        {
            ["DOTNET_ROOT"] = CommandResult.StartInfoOf("", []).Environment["DOTNET_ROOT"]!,
            ["NOTIFY_SOCKET"] = manager.Name,
        };
        if (watchdogUs is int us)
            environment["WATCHDOG_USEC"] = us.ToString(CultureInfo.InvariantCulture);
        if (watchdogProcess is int process)
            environment["WATCHDOG_PID"] = process.ToString(CultureInfo.InvariantCulture);
        return ServiceProcess.Start(Collector.Executable, environment, ["serve", "-a", Collector.NewServerAddress(), "--port", "0", "-d", Dumps, .. arguments]);
    }
}
