using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What eng/package.sh makes, made once for all tests of it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class BuiltPackages : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("netdump-packages-").FullName;

    public string Tarball => Directory.GetFiles(_directory, "netdump-collector-*-linux-x64.tar.gz").Single();

    public string Debian => Directory.GetFiles(_directory, "netdump-collector_*_amd64.deb").Single();

    public Task InitializeAsync() => PackageFactAttribute.CanBuild ? BuildScript.RunAsync("package.sh", "--output", _directory) : Task.CompletedTask;

    public Task DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return Task.CompletedTask;
    }
}
