using System.Diagnostics;
using System.Reflection;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What eng/package.sh makes, made once for all tests of it: by test.sh, or else here.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class BuiltPackages : IAsyncLifetime
{
    /// <summary>Everything is compiled for it once more, on a machine that may be busy.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(8);

    /// <summary>Where test.sh has put the packages, and the tarball's content in "program".</summary>
    private static readonly string? s_made = Environment.GetEnvironmentVariable("NETDUMP_TEST_PACKAGES");

    private readonly string _directory = s_made ?? Directory.CreateTempSubdirectory("netdump-packages-").FullName;

    /// <summary>The program that came out of the tarball, if test.sh has unpacked one.</summary>
    public static string? Unpacked { get; } = s_made is null ? null : Path.Combine(s_made, "program", "bin", "netdump-collector");

    public string Tarball => Directory.GetFiles(_directory, "netdump-collector-*-linux-x64.tar.gz").Single();

    public string Debian => Directory.GetFiles(_directory, "netdump-collector_*_amd64.deb").Single();

    public async Task InitializeAsync()
    {
        if (!PackageFactAttribute.CanBuild || s_made is not null)
            return;

        string root = typeof(BuiltPackages).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;
        var info = CommandResult.StartInfoOf(Path.Combine(root, "eng", "package.sh"), ["--output", _directory]);
        // What the test runner's build told its children is not for another build.
        foreach (string variable in info.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
            info.Environment.Remove(variable);
        using var build = new Process { StartInfo = info };
        build.Start();
        var output = build.StandardOutput.ReadToEndAsync();
        var error = build.StandardError.ReadToEndAsync();
        using var timeUp = new CancellationTokenSource(s_deadline);
        try
        {
            await build.WaitForExitAsync(timeUp.Token);
        }
        catch (OperationCanceledException)
        {
            build.Kill(entireProcessTree: true);
        }

        Assert.True(build.HasExited && build.ExitCode == 0, $"eng/package.sh failed: {await output} {await error}");
    }

    public Task DisposeAsync()
    {
        if (s_made is null)
            Directory.Delete(_directory, recursive: true);
        return Task.CompletedTask;
    }
}
