using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The wall clock of one program, which jumps as told: bench/tools/wrongclock.c, compiled once per run.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class WrongClock : IDisposable
{
    private static readonly Lazy<Task<string>> s_library = new(() => Ndblast.CompileAsync("wrongclock", "-shared", "-fPIC"));

    private readonly FileStream _offset;

    /// <param name="file">A name for the file by which it is told.</param>
    public WrongClock(string file)
    {
        _offset = new(file, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        JumpTo(TimeSpan.Zero);
    }

    /// <summary>What <c>env</c> has a program see the clock by.</summary>
    public async Task<string[]> EnvironmentAsync() => [$"LD_PRELOAD={await s_library.Value}", $"WRONGCLOCK={_offset.Name}"];

    /// <summary>From now on the clock is ahead of the right time by <paramref name="offset"/>, in whole seconds.</summary>
    public void JumpTo(TimeSpan offset)
    {
        _offset.Position = 0;
        _offset.Write(BitConverter.GetBytes((long)offset.TotalSeconds));
    }

    public void Dispose() => _offset.Dispose();
}
