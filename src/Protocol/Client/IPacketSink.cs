namespace NetdumpCollector.Protocol.Client;

/// <summary>The wire below a <see cref="KernelClient"/>.</summary>
public interface IPacketSink
{
    /// <summary>Takes one datagram, header included; the memory is reused when the call returns.</summary>
    void Send(ReadOnlySpan<byte> datagram);
}

/// <summary>Fills <paramref name="destination"/> with the dump's bytes from <paramref name="offset"/> on.</summary>
public delegate void ContentSource(ulong offset, Span<byte> destination);
