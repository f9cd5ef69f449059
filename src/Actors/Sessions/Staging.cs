using System.Runtime.InteropServices;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>Copies of packets that wait for their session's storage or are being stored: a bounded number, because the client repeats what does not fit.</summary>
/// <remarks>A client has one burst outstanding, so there is room for it, its retransmission and the small messages around it.</remarks>
internal sealed unsafe class Staging : IDisposable
{
    public const int CapacityBytes = 256 * 1024;
    private const int MaxDatagrams = 512;

    private readonly byte* _bytes = (byte*)NativeMemory.Alloc(CapacityBytes);
    private readonly List<Datagram> _datagrams = new(64);
    private int _used;

    public int Count => _datagrams.Count;

    /// <summary>All of them came while there was a tentative session (<see cref="PacketRun.HasRival"/>); what came before it says nothing about it.</summary>
    public bool HasRival { get; private set; }

    /// <summary>Some of them may be another session's (<see cref="PacketRun.IsContested"/>).</summary>
    public bool IsContested { get; private set; }

    public ReadOnlySpan<Datagram> Datagrams => CollectionsMarshal.AsSpan(_datagrams);

    /// <summary>Before packets of <paramref name="run"/> are added.</summary>
    public void Begin(PacketRun run)
    {
        HasRival = run.HasRival && (HasRival || Count == 0);
        IsContested |= run.IsContested;
    }

    /// <summary>Copies a datagram; false when there is no room.</summary>
    public bool TryAdd(in Datagram datagram)
    {
        if (_datagrams.Count == MaxDatagrams || CapacityBytes - _used < datagram.Length)
            return false;

        byte* copy = _bytes + _used;
        datagram.Span.CopyTo(new(copy, datagram.Length));
        _used += datagram.Length;
        _datagrams.Add(new(copy, datagram.Length, datagram.Remote, datagram.RemotePort, datagram.Local));
        return true;
    }

    public void Clear()
    {
        _datagrams.Clear();
        _used = 0;
        HasRival = false;
        IsContested = false;
    }

    public void Dispose() => NativeMemory.Free(_bytes);
}
