using System.Diagnostics;

namespace NetdumpCollector.Actors.Tests;

/// <summary>A tmpfs of its own, which a test can fill up; only root may mount one.</summary>
internal sealed class TinyFileSystem : IDisposable
{
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
        if (Run("mount", "-t", "tmpfs", "-o", options, "none", Path))
            return;
        Directory.Delete(Path);
        throw new InvalidOperationException("no tmpfs can be mounted here");
    }

    public static bool IsAvailable => s_isAvailable.Value;

    public string Path { get; }

    public void Dispose()
    {
        Assert.True(Run("umount", Path) || Run("umount", "--lazy", Path), $"{Path} stays mounted");
        Directory.Delete(Path);
    }

    private static bool Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
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
