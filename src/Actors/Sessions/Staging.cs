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

    /// <summary>Some of them may be another session's (<see cref="SessionRoute.IsContested"/>).</summary>
    public bool IsContested { get; set; }

    public ReadOnlySpan<Datagram> Datagrams => CollectionsMarshal.AsSpan(_datagrams);

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
        IsContested = false;
    }

    public void Dispose() => NativeMemory.Free(_bytes);
}
