using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Micro;

/// <summary>What --sparse costs per burst of 64 KiB in packets: finding the pages that need not be written.</summary>
public unsafe class SparseScanning
{
    private const int PayloadBytes = 1448;
    private const int BurstBytes = 65536;

    private readonly WriteSlice[] _slices = new WriteSlice[(BurstBytes + PayloadBytes - 1) / PayloadBytes];
    private byte* _burst;

    /// <summary>Pages of nothing, pages that differ from zero at their first byte, at their last, and every other page zero.</summary>
    [Params("zeros", "first", "last", "alternating")]
    public string Content { get; set; } = "zeros";

    [GlobalSetup]
    public void MakeBurst()
    {
        _burst = (byte*)NativeMemory.AllocZeroed(BurstBytes);
        for (int page = 0; page < BurstBytes; page += SparseWrites.PageBytes)
        {
            if (Content is "first" || (Content is "alternating" && page % (2 * SparseWrites.PageBytes) == 0))
                _burst[page] = 1;
            else if (Content is "last")
                _burst[page + SparseWrites.PageBytes - 1] = 1;
        }

        for (int i = 0; i < _slices.Length; i++)
            _slices[i] = new((ulong)(i * PayloadBytes), _burst + i * PayloadBytes, Math.Min(PayloadBytes, BurstBytes - i * PayloadBytes));
    }

    [GlobalCleanup]
    public void FreeBurst() => NativeMemory.Free(_burst);

    [Benchmark]
    public ulong Scan()
    {
        var sparse = new SparseWrites(0);
        ulong holeBytes = 0;
        for (int index = 0, skip = 0; index < _slices.Length;)
        {
            long extent = sparse.NextExtent(_slices, index, skip, out bool isHole);
            holeBytes += isHole ? (ulong)extent : 0;
            extent += skip;
            for (; index < _slices.Length && extent >= _slices[index].Length; index++)
                extent -= _slices[index].Length;
            skip = (int)extent;
        }

        return holeBytes;
    }
}
