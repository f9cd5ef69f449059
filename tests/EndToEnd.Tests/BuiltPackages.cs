using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What eng/package.sh makes, made once for all tests of it: by test.sh, or else here.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class BuiltPackages : IAsyncLifetime
{
    /// <summary>Where test.sh has put the packages, and the tarball's content in "program".</summary>
    private static readonly string? s_made = Environment.GetEnvironmentVariable("NETDUMP_TEST_PACKAGES");

    private readonly string _directory = s_made ?? Directory.CreateTempSubdirectory("netdump-packages-").FullName;

    /// <summary>The program that came out of the tarball, if test.sh has unpacked one.</summary>
    public static string? Unpacked { get; } = s_made is null ? null : Path.Combine(s_made, "program", "bin", "netdump-collector");

    public string Tarball => Directory.GetFiles(_directory, "netdump-collector-*-linux-x64.tar.gz").Single();

    public string Debian => Directory.GetFiles(_directory, "netdump-collector_*_amd64.deb").Single();

    public Task InitializeAsync() => PackageFactAttribute.CanBuild && s_made is null ? BuildScript.RunAsync("package.sh", "--output", _directory) : Task.CompletedTask;

    public Task DisposeAsync()
    {
        if (s_made is null)
            Directory.Delete(_directory, recursive: true);
        return Task.CompletedTask;
    }
}
