using BenchmarkDotNet.Attributes;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Micro;

/// <summary>Marking the 46 packets of a burst as stored, for a dump without holes and for one that already has many.</summary>
public class CoverageUpdates
{
    private const ulong PayloadBytes = 1448;
    private const int Packets = 46;
    private const int HoleEvery = 5;

    private Coverage _coverage = new();
    private ulong _offset;

    /// <summary>Holes of the dump below the burst.</summary>
    [Params(0, 1000)]
    public int Holes { get; set; }

    [GlobalSetup]
    public void MakeHoles()
    {
        _coverage = new();
        _offset = 0;
        for (int i = 0; i <= Holes; i++)
        {
            _coverage.Add(_offset, _offset + PayloadBytes);
            _offset += 2 * PayloadBytes;
        }
    }

    [Benchmark(Baseline = true)]
    public ulong InOrder()
    {
        for (int i = 0; i < Packets; i++)
            AddPacket(i);
        return EndBurst();
    }

    [Benchmark]
    public ulong Backwards()
    {
        for (int i = Packets - 1; i >= 0; i--)
            AddPacket(i);
        return EndBurst();
    }

    /// <summary>Every fifth packet is lost first and comes when the others are there.</summary>
    [Benchmark]
    public ulong WithLosses()
    {
        for (int i = 0; i < Packets; i++)
        {
            if (i % HoleEvery != 0)
                AddPacket(i);
        }

        for (int i = 0; i < Packets; i += HoleEvery)
            AddPacket(i);
        return EndBurst();
    }

    private void AddPacket(int index)
    {
        ulong start = _offset + (ulong)index * PayloadBytes;
        _coverage.Add(start, start + PayloadBytes);
    }

    private ulong EndBurst()
    {
        _offset += Packets * PayloadBytes;
        return _coverage.CoveredBytes;
    }
}
