namespace NetdumpCollector.Collector.Send;

/// <summary>One direction of a network that loses, duplicates and reorders what it carries.</summary>
/// <param name="rates">How often.</param>
/// <param name="random">Decides; the same one and the same traffic give the same faults.</param>
/// <param name="deliver">Gets what arrives.</param>
internal sealed class FaultyPath<T>(FaultRates rates, Random random, Action<T> deliver)
{
    private const int MaxDelayUs = 3000;

    private readonly PriorityQueue<T, long> _late = new();

    /// <summary>When <see cref="Release"/> has something to deliver, <see cref="long.MaxValue"/> when nothing is on its way.</summary>
    public long NextUs => _late.TryPeek(out _, out long dueUs) ? dueUs : long.MaxValue;

    /// <summary>Takes what was sent; <paramref name="item"/> must stay as it is.</summary>
    public void Carry(T item, long nowUs)
    {
        if (Happens(rates.Loss))
            return;

        for (int copies = Happens(rates.Duplicate) ? 2 : 1; copies > 0; copies--)
        {
            if (Happens(rates.Reorder))
                _late.Enqueue(item, nowUs + random.Next(1, MaxDelayUs + 1));
            else
                deliver(item);
        }
    }

    public void Release(long nowUs)
    {
        while (NextUs <= nowUs)
            deliver(_late.Dequeue());
    }

    private bool Happens(double probability) => probability > 0 && random.NextDouble() < probability;
}
