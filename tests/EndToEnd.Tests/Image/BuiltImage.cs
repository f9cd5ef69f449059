using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.Image;

/// <summary>What eng/image.sh makes, made once for all tests of it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class BuiltImage : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("netdump-image-").FullName;

    /// <summary>The layout, unpacked.</summary>
    public string Layout => Path.Combine(_directory, "layout");

    /// <summary>The script's own root file system.</summary>
    public string RootFileSystem => Directory.GetDirectories(_directory, "netdump-collector-*-rootfs").Single();

    public async Task InitializeAsync()
    {
        if (!ImageFactAttribute.CanBuild)
            return;

        await BuildScript.RunAsync("image.sh", "--output", _directory);
        Directory.CreateDirectory(Layout);
        (await CommandResult.RunAsync("tar", ["-xf", Directory.GetFiles(_directory, "netdump-collector-*-amd64.oci.tar").Single(), "-C", Layout])).Expect(0);
    }

    public Task DisposeAsync()
    {
        Directory.Delete(_directory, recursive: true);
        return Task.CompletedTask;
    }
}

/// <summary>A fact about the image; skipped where it cannot be made, except in CI.</summary>
internal class ImageFactAttribute : FactAttribute
{
    public ImageFactAttribute()
    {
        if (!CanBuild && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "The image is made on x64 Debian machines that have libssl3, libzstd1 and ca-certificates.";
    }

    public static bool CanBuild => PackageFactAttribute.CanBuild
        && ((string[])["libc6:amd64", "libssl3:amd64", "libzstd1:amd64", "ca-certificates"]).All(package => File.Exists($"/var/lib/dpkg/info/{package}.list"));
}

/// <summary>A fact about the running image; skipped without root and what makes a container of a directory.</summary>
internal sealed class ContainerFactAttribute : ImageFactAttribute
{
    public ContainerFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess || !((string[])["/usr/bin/unshare", "/usr/bin/nsenter", "/usr/bin/setpriv", "/usr/sbin/chroot"]).All(File.Exists) || !(File.Exists("/usr/sbin/ip") || File.Exists("/sbin/ip")))
            Skip = "A container without an engine needs root, unshare, nsenter, setpriv and ip.";
    }
}
