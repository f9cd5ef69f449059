using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Opens directories by paths that strangers send, and never one outside the dump directory.</summary>
internal sealed class ContainedPath
{
    private readonly SafeFileHandle _root;
    private readonly bool _kernelResolves;

    /// <param name="root">The dump directory; stays the caller's.</param>
    /// <param name="allowKernel">False to always walk, for tests.</param>
    public ContainedPath(SafeFileHandle root, bool allowKernel = true)
    {
        _root = root;
        // Old kernels answer ENOSYS, old container sandboxes EPERM: both mean that openat2 is not to be had.
        using var probe = allowKernel ? Posix.OpenDirectoryBeneath(root, ".") : null;
        _kernelResolves = probe is not null;
    }

    /// <summary>Opens the directory <paramref name="path"/> beneath the root.</summary>
    /// <param name="path">What the stranger sent.</param>
    /// <param name="relative">Its path from the root, without needless parts; empty for the root itself.</param>
    /// <param name="refusal">Why it cannot be used, when the result is null.</param>
    /// <remarks>
    /// With openat2 a link or <c>..</c> is fine as long as it stays inside. Without it every link and every <c>..</c> is refused, because only the
    /// kernel can follow one without a race.
    /// </remarks>
    public SafeFileHandle? Open(string path, out string relative, out string? refusal)
    {
        string[] components = [.. path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(component => component != ".")];
        relative = string.Join('/', components);
        refusal = null;
        if (path.StartsWith('/'))
            refusal = "absolute paths are not allowed";
        else if (path.Contains('\0'))
            refusal = "it contains a NUL byte";
        if (refusal is not null)
            return null;

        var handle = _kernelResolves ? Posix.OpenDirectoryBeneath(_root, relative.Length == 0 ? "." : relative) : Walk(components);
        if (handle is null)
            refusal = Errno.Last == Errno.EXDEV ? "it leads outside the dump directory" : Errno.Words(Errno.Last);
        return handle;
    }

    private SafeFileHandle? Walk(string[] components)
    {
        var current = Posix.OpenAt(_root, ".", Posix.O_RDONLY | Posix.O_DIRECTORY);
        foreach (string component in components)
        {
            if (current is null)
                return null;

            using var parent = current;
            if (component == "..")
            {
                System.Runtime.InteropServices.Marshal.SetLastPInvokeError(Errno.EXDEV);
                return null;
            }

            current = Posix.OpenAt(parent, component, Posix.O_RDONLY | Posix.O_DIRECTORY | Posix.O_NOFOLLOW);
        }

        return current;
    }
}
