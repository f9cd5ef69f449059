using NetdumpCollector.Protocol;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>The dump file of one session, sparse, in memory, with a record of what was really written.</summary>
internal sealed class ModelDisk
{
    private const int ChunkBytes = 1 << 15;

    [ThreadStatic]
    private static Stack<Chunk>? s_spare;

    private readonly Dictionary<ulong, Chunk> _chunks = [];
    private readonly HashSet<uint> _packets = [];

    private sealed class Chunk
    {
        public readonly byte[] Bytes = new byte[ChunkBytes];
        public readonly bool[] IsWritten = new bool[ChunkBytes];
    }

    /// <summary>A write failed part of the way, so the file may hold more than the session counts.</summary>
    public bool HasTornWrites { get; private set; }

    /// <summary>The packet's bytes, header or key piece are down.</summary>
    public bool HasPacket(uint seqno) => _packets.Contains(seqno);

    public void NotePacket(uint seqno) => _packets.Add(seqno);

    public void Write(ulong offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var chunk = ChunkAt(offset);
            int at = (int)(offset % ChunkBytes), length = Math.Min(bytes.Length, ChunkBytes - at);
            bytes[..length].CopyTo(chunk.Bytes.AsSpan(at));
            chunk.IsWritten.AsSpan(at, length).Fill(true);
            bytes = bytes[length..];
            offset += (ulong)length;
        }
    }

    /// <summary>The file system fills up in the middle of a write.</summary>
    public void WriteTorn(ulong offset, ReadOnlySpan<byte> bytes)
    {
        HasTornWrites = true;
        Write(offset, bytes);
    }

    public bool Holds(ulong offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int at = (int)(offset % ChunkBytes), length = Math.Min(bytes.Length, ChunkBytes - at);
            if (!_chunks.TryGetValue(offset / ChunkBytes, out var chunk)
                || !bytes[..length].SequenceEqual(chunk.Bytes.AsSpan(at, length))
                || chunk.IsWritten.AsSpan(at, length).Contains(false))
                return false;
            bytes = bytes[length..];
            offset += (ulong)length;
        }

        return true;
    }

    /// <summary>The holes of <c>[0, length)</c>, found byte by byte.</summary>
    public List<ByteRange> Holes(ulong length)
    {
        var holes = new List<ByteRange>();
        for (ulong at = 0; at < length;)
        {
            int room = (int)Math.Min(length - at, ChunkBytes - at % ChunkBytes);
            ulong end = at + (ulong)room;
            if (_chunks.TryGetValue(at / ChunkBytes, out var chunk))
            {
                var written = chunk.IsWritten.AsSpan((int)(at % ChunkBytes), room);
                int same = written.IndexOfAnyExcept(written[0]);
                end = same < 0 ? end : at + (ulong)same;
                if (written[0])
                {
                    at = end;
                    continue;
                }
            }

            if (holes.Count > 0 && holes[^1].End == at)
                holes[^1] = new(holes[^1].Start, end);
            else
                holes.Add(new(at, end));
            at = end;
        }

        return holes;
    }

    /// <summary>Gives the memory back for the next run on this thread.</summary>
    public void Recycle()
    {
        s_spare ??= [];
        foreach (var chunk in _chunks.Values)
        {
            Array.Clear(chunk.Bytes);
            Array.Clear(chunk.IsWritten);
            s_spare.Push(chunk);
        }

        _chunks.Clear();
    }

    private Chunk ChunkAt(ulong offset)
    {
        if (!_chunks.TryGetValue(offset / ChunkBytes, out var chunk))
            _chunks[offset / ChunkBytes] = chunk = s_spare is { Count: > 0 } ? s_spare.Pop() : new();
        return chunk;
    }
}
