using System.Runtime.InteropServices;

namespace NetdumpCollector.Actors.Tests;

/// <summary>A tmpfs of its own, which a test can fill up; only root may mount one.</summary>
/// <remarks>By system calls: a child process would for a moment have the descriptors of tests that run beside this one, and the locks on their ledgers with them.</remarks>
internal sealed partial class TinyFileSystem : IDisposable
{
    private const ulong MsRemount = 32;
    private const int MntDetach = 2;

    private static readonly Lazy<bool> s_isAvailable = new(() =>
    {
        try
        {
            using var probe = new TinyFileSystem("size=64k");
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    });

    /// <param name="options">tmpfs's own, such as <c>size=1m</c>.</param>
    /// <param name="mountPoint">An empty directory, removed in the end; a temporary one when null.</param>
    /// <exception cref="InvalidOperationException">It cannot be mounted here.</exception>
    public TinyFileSystem(string options, string? mountPoint = null)
    {
        Path = mountPoint ?? Directory.CreateTempSubdirectory("netdump-tmpfs-").FullName;
        if (TryMount(Path, 0, options))
            return;
        Directory.Delete(Path);
        throw new InvalidOperationException("no tmpfs can be mounted here");
    }

    public static bool IsAvailable => s_isAvailable.Value;

    public string Path { get; }

    /// <summary>Changes what the options name, and nothing else.</summary>
    public void Remount(string options) => Assert.True(TryMount(Path, MsRemount, options), $"{Path} cannot be remounted with {options}");

    public void Dispose()
    {
        Assert.True(umount2(Path, 0) == 0 || umount2(Path, MntDetach) == 0, $"{Path} stays mounted: {Marshal.GetLastPInvokeErrorMessage()}");
        Directory.Delete(Path);
    }

    private static bool TryMount(string path, ulong flags, string options) => OperatingSystem.IsLinux() && mount("none", path, "tmpfs", flags, options) == 0;

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string source, string target, string type, ulong flags, string options);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);
}

/// <summary>Theories that need a file system of their own; skipped, with the reason, where none can be mounted.</summary>
internal sealed class TinyFileSystemTheoryAttribute : TheoryAttribute
{
    public TinyFileSystemTheoryAttribute()
    {
        if (!TinyFileSystem.IsAvailable)
            Skip = "needs to mount a tmpfs, which takes root";
    }
}
