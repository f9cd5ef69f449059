using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>A manifest that somebody edited, or a disk.</summary>
internal sealed class ManifestTarget : FuzzTarget
{
    private readonly InputFile _file = new();

    public override string Name => "manifest";

    public override int TestInputs => 10_000;

    public override IReadOnlyList<byte[]> Words { get; } =
        [.. ((string[])["null", "{}", "[]", "\"\"", "-1", "1e999", "-0", "1.5", "true", "[[[[", "\"\\ud800\"", "\"/\"", "\"..\"", "\"\\u0000\"", "\"0001-01-01T00:00:00+14:00\"", "\"9999-12-31T23:59:59-14:00\"", "\"script\":", "\"schema\": 2,", "\"error\": \"x\","]).Select(System.Text.Encoding.UTF8.GetBytes)];

    // What the serializer reads into, and texts of six characters for a byte.
    public override long MostAllocatedBytes(int inputBytes) => (64 << 10) + (64 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() => Corpus("manifest");

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        _file.Write(input);
        Manifest manifest;
        try
        {
            run.Enter();
            manifest = ManifestFile.Read(_file.Path);
        }
        catch (StorageException e)
        {
            run.Leave();
            run.Saw(0, e.Message.Replace(_file.Path, "", StringComparison.Ordinal));
            return;
        }

        byte[] written = ManifestWriter.ToUtf8(manifest);
        run.Leave();
        run.Saw(1, (long)manifest.Status, (long)manifest.Reason, (long)manifest.HashState);
        run.Saw(2, manifest.Kdh is null ? 0 : 1, manifest.Script is null ? 0 : 1, FuzzRun.Bucket(manifest.Missing.Count));
        _file.Write(written);
        Check(ManifestWriter.ToUtf8(ManifestFile.Read(_file.Path)).AsSpan().SequenceEqual(written), "a manifest that was read is written so that it is read again as the same");
    }

    protected override void Close() => _file.Dispose();
}

/// <summary>A file for code that wants one.</summary>
internal sealed class InputFile : IDisposable
{
    private readonly FileStream _stream;

    public InputFile()
    {
        Path = System.IO.Path.GetTempFileName();
        _stream = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    }

    public string Path { get; }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        _stream.SetLength(0);
        _stream.Position = 0;
        _stream.Write(bytes);
    }

    public void Dispose()
    {
        _stream.Dispose();
        File.Delete(Path);
    }
}
