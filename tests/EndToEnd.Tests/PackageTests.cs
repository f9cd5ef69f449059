using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What is installed on other machines: unpacked, started from, and a dump received by it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class PackageTests(BuiltPackages packages) : IClassFixture<BuiltPackages>, IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [PackageFact]
    public async Task From_the_tarball_it_runs_without_dotnet_and_receives_a_dump()
    {
        (await CommandResult.RunAsync("tar", ["-xzf", packages.Tarball, "-C", _temp.Path, "--strip-components=1"])).Expect(0);

        Assert.Contains("\nExecStart=/usr/local/bin/netdump-collector serve", File.ReadAllText(_temp.File("lib/systemd/system/netdump-collector.service")), StringComparison.Ordinal);
        await ReceivesADump(_temp.File("bin/netdump-collector"), _temp.File("share/doc/netdump-collector/netdump-collector.json"));
    }

    [PackageFact]
    public async Task From_the_Debian_package_it_runs_without_dotnet_and_receives_a_dump()
    {
        (await CommandResult.RunAsync("dpkg-deb", ["-x", packages.Debian, _temp.Path])).Expect(0);

        Assert.Contains("\nExecStart=/usr/bin/netdump-collector serve", File.ReadAllText(_temp.File("usr/lib/systemd/system/netdump-collector.service")), StringComparison.Ordinal);
        await ReceivesADump(_temp.File("usr/bin/netdump-collector"), _temp.File("etc/netdump-collector.json"));
    }

    [PackageFact]
    public async Task The_Debian_package_brings_manual_completion_and_settings_that_updates_keep()
    {
        string files = (await CommandResult.RunAsync("dpkg-deb", ["-c", packages.Debian])).Expect(0).Output;

        foreach (string file in (string[])["etc/netdump-collector.json", "usr/share/man/man1/netdump-collector.1.gz", "usr/share/bash-completion/completions/netdump-collector",
            "usr/lib/sysctl.d/10-netdump-collector.conf", "usr/share/doc/netdump-collector/copyright", "usr/share/doc/netdump-collector/THIRD-PARTY-NOTICES.TXT",
            "usr/share/doc/netdump-collector/OpenTelemetry-LICENSE.TXT", "usr/share/doc/netdump-collector/docs/runbook.md", "usr/share/doc/netdump-collector/docs/kubernetes.md", "usr/share/doc/netdump-collector/deploy/prometheus/alerts.yml",
            "usr/share/doc/netdump-collector/deploy/grafana/fleet.json"])
            Assert.Contains(" root/root ", Assert.Single(files.Split('\n'), line => line.EndsWith($" ./{file}", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal("/etc/netdump-collector.json\n", (await CommandResult.RunAsync("dpkg-deb", ["-I", packages.Debian, "conffiles"])).Expect(0).Output);
    }

    [DebianRootFact]
    public async Task Debian_installs_it_with_a_user_of_its_own_and_removes_all_but_the_dumps()
    {
        // The whole system as the lower half of an overlay in a mount namespace of its own: what dpkg does there is gone afterwards.
        const string Script = """
            set -e
            mount -t tmpfs none "$1"
            mkdir "$1/upper" "$1/work" "$1/root"
            mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
            mount -t proc -o ro none "$1/root/proc"
            cp "$2" "$1/root/package.deb"
            exec chroot "$1/root" /bin/sh -ec '
                export DEBIAN_FRONTEND=noninteractive
                dpkg --no-triggers -i /package.deb
                stat -c "installed %U %a" /var/lib/netdump
                netdump-collector version
                echo "// mine" >>/etc/netdump-collector.json
                dpkg --no-triggers --force-confold -i /package.deb
                tail -n 1 /etc/netdump-collector.json
                touch /var/lib/netdump/vmcore.web1.0
                dpkg --no-triggers -P netdump-collector
                ! [ -e /etc/netdump-collector.json ] && ! [ -e /usr/lib/netdump-collector ]
                stat -c "kept %U" /var/lib/netdump/vmcore.web1.0
                rm /var/lib/netdump/vmcore.web1.0
                dpkg --no-triggers -i /package.deb
                dpkg --no-triggers -P netdump-collector
                ! [ -e /var/lib/netdump ]
                echo "gone"'
            """;

        var result = await CommandResult.RunAsync("unshare", ["-m", "/bin/sh", "-c", Script, "sh", Directory.CreateDirectory(_temp.File("overlay")).FullName, packages.Debian]);

        string[] lines = result.Expect(0).Output.Split('\n');
        Assert.Contains("installed netdump 700", lines);
        Assert.Contains("// mine", lines);
        Assert.Contains("kept root", lines);
        Assert.Contains("gone", lines);
    }

    private async Task ReceivesADump(string program, string settings)
    {
        string dumps = _temp.File("dumps");
        string address = Collector.NewServerAddress();
        string port = Collector.FreePort().ToString(CultureInfo.InvariantCulture);
        using var manager = new NotifyListener(_temp.File("notify"));
        // Nothing that leads to a runtime outside the package.
        var environment = new Dictionary<string, string> { ["NOTIFY_SOCKET"] = manager.Name, ["PATH"] = "/nowhere", ["HOME"] = _temp.Path };
        await using var service = ServiceProcess.Start(program, environment, "serve", "--config", settings, "-a", address, "--port", port, "-d", dumps);
        await manager.NextWithAsync("READY=1");
        string[] runtime = [.. File.ReadAllLines($"/proc/{service.ProcessId}/maps").Where(line => line.EndsWith("/libcoreclr.so", StringComparison.Ordinal) || line.EndsWith(".dll", StringComparison.Ordinal))];
        Assert.NotEmpty(runtime);
        Assert.All(runtime, line => Assert.Contains($" {_temp.Path}/", line, StringComparison.Ordinal));

        (await RunAsync(program, "send", "--synthetic", "4M", "--server", address, "--port", port, "--from", Collector.NewClientAddresses().ToString(), "--panic", "fire drill")).Expect(0);

        Assert.Equal(DumpStatus.Complete, Assert.Single(DumpCatalog.Read(dumps).Dumps).Manifest.Status);
        (await RunAsync(program, "dumps", "verify", "--all", "-d", dumps)).Expect(0);
        service.Terminate();
        await service.EndsAsync();
    }

    private static Task<CommandResult> RunAsync(string program, params string[] arguments) => CommandResult.RunAsync("/usr/bin/env", ["-i", "PATH=/nowhere", program, .. arguments]);
}

/// <summary>A fact about packages; skipped where dpkg-deb is missing or the processor is another one, except in CI.</summary>
internal sealed class PackageFactAttribute : FactAttribute
{
    public PackageFactAttribute()
    {
        if (!CanBuild && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "Packages are made on x64 machines that have dpkg-deb.";
    }

    public static bool CanBuild => OperatingSystem.IsLinux() && System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.X64
        && File.Exists("/usr/bin/dpkg-deb");
}

/// <summary>A fact about what dpkg does; skipped without root, unshare and what the package depends on.</summary>
internal sealed class DebianRootFactAttribute : FactAttribute
{
    public DebianRootFactAttribute()
    {
        bool isPossible = PackageFactAttribute.CanBuild && Environment.IsPrivilegedProcess && File.Exists("/usr/bin/unshare") && File.Exists("/usr/sbin/adduser")
            && File.Exists("/usr/bin/deb-systemd-helper");
        if (!isPossible)
            Skip = "Installing needs root on a Debian with unshare, adduser and init-system-helpers.";
    }
}
