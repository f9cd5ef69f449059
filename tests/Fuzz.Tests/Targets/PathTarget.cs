using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The path that a herald asks for, to a directory with everything in it that could lead out.</summary>
internal sealed class PathTarget : FuzzTarget
{
    private readonly string _outside = Directory.CreateTempSubdirectory("netdump-fuzz-").FullName;
    private readonly string _root;
    private readonly SafeFileHandle _handle;
    private readonly ContainedPath[] _resolvers;

    public PathTarget()
    {
        _root = Path.Combine(_outside, "root");
        Directory.CreateDirectory(Path.Combine(_root, "a", "b"));
        Directory.CreateSymbolicLink(Path.Combine(_root, "out"), "/");
        Directory.CreateSymbolicLink(Path.Combine(_root, "up"), "..");
        Directory.CreateSymbolicLink(Path.Combine(_root, "in"), "a");
        Directory.CreateSymbolicLink(Path.Combine(_root, "self"), "self");
        File.WriteAllText(Path.Combine(_root, "file"), "");
        _handle = Posix.Open(_root, Posix.O_RDONLY | Posix.O_DIRECTORY)!;
        _resolvers = [new(_handle), new(_handle, allowKernel: false)];
    }

    public override string Name => "path";

    public override int TestInputs => 30_000;

    public override int MaxInputBytes => 1024;

    public override IReadOnlyList<byte[]> Words { get; } = [.. ((string[])["/", "..", "../", "a", "a/b", "b/", "out", "up", "in", "self", "file", "./", "//", "\0", "\\", "proc", "etc", "root"]).Select(System.Text.Encoding.UTF8.GetBytes)];

    // A path of single characters is an array of texts.
    public override long MostAllocatedBytes(int inputBytes) => 8192 + (300 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() => [[], [.. "a/b\0"u8], [.. "/etc"u8], [.. "../x"u8], [.. "a/../../root"u8], [.. "in/b"u8], [.. "out/etc"u8], [.. "up/root/a"u8], [.. "a//./b/"u8], [.. "self/a"u8]];

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        foreach (var resolver in _resolvers)
        {
            run.Enter();
            string text = PrintableText.From(input);
            using var opened = resolver.Open(text, out string relative, out string? refusal);
            run.Leave();
            run.Saw(0, refusal ?? "");
            Check(opened is null == refusal is not null, "what is refused is not opened");
            if (opened is null)
                continue;

            string where = new FileInfo($"/proc/self/fd/{opened.DangerousGetHandle()}").LinkTarget!;
            run.Saw(1, where.Length, relative.Length == 0 ? 0 : 1);
            Check(where == _root || where.StartsWith(_root + "/", StringComparison.Ordinal), $"'{text}' leads to {where}");
        }
    }

    protected override void Close()
    {
        _handle.Dispose();
        Directory.Delete(_outside, recursive: true);
    }
}
