namespace NetdumpCollector.Protocol.Minidump;

/// <summary>Decompresses what the kernel compressed, as it arrives.</summary>
public abstract unsafe class StreamDecoder : IDisposable
{
    /// <summary>Lends the next bytes of the stream, until <see cref="Read"/> returns 0.</summary>
    public abstract void Supply(byte* bytes, int count);

    /// <summary>Writes decoded bytes to <paramref name="destination"/>; 0 when it needs more input.</summary>
    /// <exception cref="InvalidDataException">The stream is not what it started as.</exception>
    public abstract int Read(Span<byte> destination);

    /// <summary>Memory that the decoder has at the moment, as far as the stream has a say in it.</summary>
    public abstract long MemoryBytes { get; }

    public abstract void Dispose();
}
