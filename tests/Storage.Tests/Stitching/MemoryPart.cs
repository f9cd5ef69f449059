using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Storage.Tests.Stitching;

/// <summary>A part whose file is in memory.</summary>
internal sealed class MemoryPart(Manifest manifest, byte[] file, byte[]? key = null) : IDumpPart
{
    public Manifest Manifest { get; init; } = manifest;

    public string Node { get; init; } = "a";

    /// <summary>Called with the offset before each read; may throw.</summary>
    public Action<ulong>? BeforeRead { get; set; }

    /// <summary>Bytes that were asked for.</summary>
    public long ReadBytes { get; private set; }

    public void Read(ulong offset, Span<byte> bytes)
    {
        BeforeRead?.Invoke(offset);
        file.AsSpan((int)offset, bytes.Length).CopyTo(bytes);
        ReadBytes += bytes.Length;
    }

    public byte[] ReadKey() => key ?? throw new StorageException("no key");
}
