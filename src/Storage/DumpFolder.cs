using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage;

/// <summary>The open directory that one dump lives in: the root, or one beneath it.</summary>
/// <param name="Handle">Everything the dump does with names is relative to this descriptor, so that nobody can move the directory from under it.</param>
/// <param name="Root">Absolute path of the dump directory.</param>
/// <param name="Relative">Path from there, empty for the root itself.</param>
/// <param name="OwnsHandle">The descriptor is this dump's own and not the root's.</param>
internal sealed record DumpFolder(SafeFileHandle Handle, string Root, string Relative, bool OwnsHandle) : IDisposable
{
    /// <summary>The name as the script gets it.</summary>
    public string RelativePathOf(string name) => Path.Join(Relative, name);

    public string PathOf(string name) => Path.Join(Root, Relative, name);

    public void Dispose()
    {
        if (OwnsHandle)
            Handle.Dispose();
    }
}
