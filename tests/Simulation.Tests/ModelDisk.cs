using NetdumpCollector.Protocol;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>The dump file of one session, sparse, in memory, with a record of what was really written and of what a crash of the machine would take back.</summary>
/// <param name="canCrash">Remember what is not on the device yet.</param>
internal sealed class ModelDisk(bool canCrash = false)
{
    private const int ChunkBytes = 1 << 15;
    private const int PageBytes = WellKnown.PageBytes;

    [ThreadStatic]
    private static Stack<Chunk>? s_spare;

    private readonly Dictionary<ulong, Chunk> _chunks = [];
    private readonly HashSet<uint> _packets = [];

    /// <summary>What pages held that were written since the last sync began, and packets with them.</summary>
    private Dictionary<ulong, Page> _unsynced = [];
    private List<uint> _unsyncedPackets = [];

    /// <summary>The same for a sync that has begun and not ended.</summary>
    private Dictionary<ulong, Page> _syncing = [];
    private List<uint> _syncingPackets = [];

    private sealed class Chunk
    {
        public readonly byte[] Bytes = new byte[ChunkBytes];
        public readonly bool[] IsWritten = new bool[ChunkBytes];
    }

    private sealed record Page(byte[] Bytes, bool[] IsWritten);

    /// <summary>A write failed part of the way, so the file may hold more than the session counts.</summary>
    public bool HasTornWrites { get; private set; }

    /// <summary>End of the last byte that was ever written.</summary>
    public ulong Length { get; private set; }

    /// <summary>The packet's bytes, header or key piece are down.</summary>
    public bool HasPacket(uint seqno) => _packets.Contains(seqno);

    public void NotePacket(uint seqno)
    {
        _packets.Add(seqno);
        if (canCrash)
            _unsyncedPackets.Add(seqno);
    }

    public void Write(ulong offset, ReadOnlySpan<byte> bytes)
    {
        if (canCrash)
            Remember(offset, (ulong)bytes.Length);
        Length = Math.Max(Length, offset + (ulong)bytes.Length);
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

    /// <summary>The file system fills up, or the process dies, in the middle of a write.</summary>
    public void WriteTorn(ulong offset, ReadOnlySpan<byte> bytes)
    {
        HasTornWrites = true;
        Write(offset, bytes);
    }

    /// <summary>What the file has, as far as it goes; zeros in holes.</summary>
    public byte[] Read(ByteRange range)
    {
        byte[] bytes = new byte[range.End > Length ? Length > range.Start ? Length - range.Start : 0 : range.Length];
        for (int done = 0; done < bytes.Length;)
        {
            ulong offset = range.Start + (ulong)done;
            int at = (int)(offset % ChunkBytes), length = Math.Min(bytes.Length - done, ChunkBytes - at);
            if (_chunks.TryGetValue(offset / ChunkBytes, out var chunk))
                chunk.Bytes.AsSpan(at, length).CopyTo(bytes.AsSpan(done));
            done += length;
        }

        return bytes;
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

    /// <summary>An fsync begins: it waits for what is written now.</summary>
    public void BeginSync()
    {
        foreach (var (page, before) in _unsynced)
            _syncing.TryAdd(page, before);
        _syncingPackets.AddRange(_unsyncedPackets);
        _unsynced = [];
        _unsyncedPackets = [];
    }

    /// <summary>The fsync that began is done.</summary>
    public void EndSync()
    {
        _syncing = [];
        _syncingPackets = [];
    }

    /// <summary>The fsync that began failed: the system drops some of its pages and will not say so again.</summary>
    /// <returns>Something is gone.</returns>
    public bool FailSync(Random random)
    {
        bool isGone = false;
        foreach (var (page, before) in _syncing)
        {
            if (_unsynced.ContainsKey(page) || random.Next(3) != 0)
                continue;
            Restore(page, before);
            isGone = true;
        }

        EndSync();
        return isGone;
    }

    /// <summary>The machine crashes: of each page that was not synced, any of its contents since the last sync may be what is left.</summary>
    /// <returns>Something is gone.</returns>
    public bool Crash(Random random)
    {
        bool isGone = false;
        double lost = random.Next(4) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
        foreach (var (page, before) in _unsynced)
        {
            if (random.NextDouble() >= lost)
                continue;
            Restore(page, _syncing.TryGetValue(page, out var earlier) && random.Next(2) == 0 ? earlier : before);
            isGone = true;
        }

        foreach (var (page, before) in _syncing)
        {
            if (_unsynced.ContainsKey(page) || random.NextDouble() >= lost)
                continue;
            Restore(page, before);
            isGone = true;
        }

        _packets.ExceptWith(_unsyncedPackets);
        _packets.ExceptWith(_syncingPackets);
        _unsynced = [];
        _unsyncedPackets = [];
        EndSync();
        return isGone;
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

    private void Remember(ulong offset, ulong length)
    {
        for (ulong page = offset / PageBytes; page * PageBytes < offset + length; page++)
        {
            if (_unsynced.ContainsKey(page))
                continue;
            var chunk = ChunkAt(page * PageBytes);
            int at = (int)(page * PageBytes % ChunkBytes);
            _unsynced.Add(page, new(chunk.Bytes[at..(at + PageBytes)], chunk.IsWritten[at..(at + PageBytes)]));
        }
    }

    private void Restore(ulong page, Page before)
    {
        var chunk = ChunkAt(page * PageBytes);
        int at = (int)(page * PageBytes % ChunkBytes);
        before.Bytes.CopyTo(chunk.Bytes.AsSpan(at));
        before.IsWritten.CopyTo(chunk.IsWritten.AsSpan(at));
    }

    private Chunk ChunkAt(ulong offset)
    {
        if (!_chunks.TryGetValue(offset / ChunkBytes, out var chunk))
            _chunks[offset / ChunkBytes] = chunk = s_spare is { Count: > 0 } ? s_spare.Pop() : new();
        return chunk;
    }
}
