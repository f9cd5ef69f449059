using System.Diagnostics.CodeAnalysis;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>A bounded queue that many write and one reads; it grows to its capacity as needed and refuses more.</summary>
internal sealed class Mailbox<TMessage>(int capacity)
    where TMessage : class
{
    /// <summary>What <see cref="TryEnqueue"/> says of a message that it did not take.</summary>
    public const int Full = 0, Closed = -1;

    private readonly object _gate = new();
    private TMessage?[] _ring = new TMessage?[Math.Min(capacity, 8)];
    private int _head;
    private bool _closed;

    public int Count { get; private set; }

    /// <summary>Messages that wait now, this one included; <see cref="Full"/> or <see cref="Closed"/> where it is not taken.</summary>
    public int TryEnqueue(TMessage message)
    {
        lock (_gate)
        {
            if (_closed)
                return Closed;
            if (Count == capacity)
                return Full;
            if (Count == _ring.Length)
                Grow();
            _ring[(_head + Count++) % _ring.Length] = message;
            return Count;
        }
    }

    public bool TryDequeue([NotNullWhen(true)] out TMessage? message)
    {
        lock (_gate)
        {
            message = null;
            if (Count == 0)
                return false;
            message = _ring[_head]!;
            _ring[_head] = null;
            _head = (_head + 1) % _ring.Length;
            Count--;
            return true;
        }
    }

    /// <summary>Refuses what comes from now on; what is inside stays.</summary>
    public void Close()
    {
        lock (_gate)
            _closed = true;
    }

    private void Grow()
    {
        var ring = new TMessage?[Math.Min(capacity, _ring.Length * 2)];
        for (int i = 0; i < Count; i++)
            ring[i] = _ring[(_head + i) % _ring.Length];
        _ring = ring;
        _head = 0;
    }
}
