using System.Buffers.Binary;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The ledger that an earlier process left, up to the session that goes on from it.</summary>
internal sealed class LedgerTarget : FuzzTarget
{
    public override string Name => "ledger";

    public override int TestInputs => 20_000;

    public override int MaxInputBytes => 8192;

    // The session's windows, a copy of the first burst, a header's texts; a record is an object and its payload, and one of 19 bytes may make a key of 64 KiB longer, which copies it.
    public override long MostAllocatedBytes(int inputBytes) => (512 << 10) + (4096 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds()
    {
        byte[] state = Sealed(new SessionModel(SessionModel.TestOptions, keepsPromises: true).StateAfter(Golden("kdh-none-none.bin")));
        yield return Ledger(state);
        yield return Ledger(state, (LedgerRecordType.Stored, [.. Range(65536, 131072), .. Range(1 << 20, 2 << 20)]), (LedgerRecordType.Damaged, Range(0, 1448)), (LedgerRecordType.Overwritten, Range(1448, 4096)));
        yield return Ledger(state, (LedgerRecordType.Kdh, Golden("kdh-none-aes.bin")), (LedgerRecordType.Key, [.. new byte[8], .. Golden("key-none-aes.bin").AsSpan(0, 1448)]), (LedgerRecordType.SyncFailed, []));
        yield return Ledger(state, (LedgerRecordType.Checkpoint, [.. state.AsSpan(LedgerFormat.StateHeaderBytes), .. Range(0, 4096)]), (LedgerRecordType.Committing, LedgerFormat.CommittingPayload("vmcore.h.0", "dump.h.0.json")), ((LedgerRecordType)99, [1, 2]));
        yield return Ledger(state, (LedgerRecordType.Owner, LedgerFormat.OwnerPayload(3, "c")), (LedgerRecordType.Segment, [.. LedgerFormat.OwnerPayload(1, "a"), .. Range(0, 65536)]),
            (LedgerRecordType.Segment, [.. LedgerFormat.OwnerPayload(2, "b"), .. Range(65536, 131072)]), (LedgerRecordType.Stored, Range(0, 131072)),
            (LedgerRecordType.Continued, state[LedgerFormat.StateHeaderBytes..]), (LedgerRecordType.Rewritten, Range(4096, 8192)));
        yield return Ledger(state, (LedgerRecordType.PartOf, LedgerFormat.PartOfPayload(new("20261121T013940Z-00000001", "a", 2))), (LedgerRecordType.Stored, Range(65536, 131072)));
    }

    public override void Repair(Span<byte> input)
    {
        if (input.Length < LedgerFormat.FileHeaderBytes)
            return;
        LedgerFormat.WriteFileHeader(input);
        for (uint i = 0; i < 2; i++)
        {
            var place = input.Slice(LedgerFormat.StateOffset(i), LedgerFormat.StatePlaceBytes);
            LedgerFormat.SealState(place, BinaryPrimitives.ReadUInt32LittleEndian(place[4..]));
        }

        for (var rest = input[LedgerFormat.FileHeaderBytes..]; rest.Length >= LedgerFormat.RecordHeaderBytes;)
        {
            int length = (int)Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(rest), (uint)(rest.Length - LedgerFormat.RecordHeaderBytes));
            LedgerFormat.WriteRecordHeader(rest, (LedgerRecordType)BinaryPrimitives.ReadUInt16LittleEndian(rest[4..]), [], rest.Slice(LedgerFormat.RecordHeaderBytes, length));
            rest = rest[(LedgerFormat.RecordHeaderBytes + length)..];
        }
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        var contents = LedgerFile.Read(input);
        run.Leave();
        Check(contents.LengthBytes <= input.Length, "the next record goes behind the last whole one");
        run.Saw(0, contents.EndsClean ? 1 : 0, contents.State is null ? 0 : 1, FuzzRun.Bucket(contents.Records.Count));
        for (int i = 1; i < contents.Records.Count; i++)
            run.Saw(1, KindOf(contents.Records[i - 1]), KindOf(contents.Records[i]));

        run.Enter();
        var inherited = Inheritance.Of(contents, epoch: 3, new(Ipv4.Loopback, 20023, 20025, 20024, 1));
        run.Leave();
        run.Saw(3, Inheritance.IsWhole(contents, 3) ? 1 : 0, FuzzRun.Bucket(inherited.Segments.Count), FuzzRun.Bucket((long)inherited.Stored.CoveredBytes));

        foreach (var saved in (SavedSession[])[SavedBy(contents, contents.State, machineCrashed: false), SavedBy(contents, CheckpointOf(contents), machineCrashed: true)])
        {
            run.Enter();
            var session = DumpSession.Restore(new(), saved, nowUs: 0);
            byte[] state = new byte[DumpSession.StateBytes];
            session.Save(state);
            session.OnTick(session.WakeUs is long.MaxValue ? 1 : session.WakeUs);
            session.End(EndReason.Superseded);
            run.Leave();
            run.Saw(2, session.CoveredRanges.Length, (long)session.Summary!.Status, FuzzRun.Bucket((long)session.CoveredBytes));
            Check(DumpSession.IsState(state), "what was restored can be saved");
        }
    }

    /// <summary>As DumpDirectory.Recovery does.</summary>
    private static SavedSession SavedBy(LedgerContents contents, byte[]? state, bool machineCrashed) => new()
    {
        HeraldSeqno = contents.Records.OfType<LedgerRecord.Endpoint>().FirstOrDefault()?.Value.HeraldSeqno ?? 1,
        State = state,
        FirstBurst = state is not null && DumpSession.FirstBurstOf(state) is ByteRange kept ? new byte[kept.Length] : [],
        FileLength = machineCrashed ? 0 : (ulong)contents.LengthBytes << 12,
        Ranges = machineCrashed ? contents.Records.OfType<LedgerRecord.Checkpoint>().LastOrDefault()?.Stored ?? [] : RangesOf(contents, LedgerRecordType.Stored),
        Damaged = RangesOf(contents, LedgerRecordType.Damaged),
        Overwritten = RangesOf(contents, LedgerRecordType.Overwritten),
        UnverifiedEnd = machineCrashed ? 1 << 20 : 0ul,
        MachineCrashed = machineCrashed,
        IsContinuation = contents.Opened?.Identity.Continues is not null,
        Header = contents.Records.OfType<LedgerRecord.Kdh>().Select(record => KernelDumpHeader.Read(record.Header.Span)).FirstOrDefault(),
        KeyPieces = [.. contents.Records.OfType<LedgerRecord.Key>().Select(key => (key.Offset, key.Bytes))],
    };

    private static byte[]? CheckpointOf(LedgerContents contents) =>
        contents.Records.OfType<LedgerRecord.Checkpoint>().LastOrDefault()?.State.ToArray() is { } state && DumpSession.IsState(state) ? state : null;

    private static ByteRange[] RangesOf(LedgerContents contents, LedgerRecordType what) =>
        [.. contents.Records.OfType<LedgerRecord.Ranges>().Where(record => record.What == what).SelectMany(record => record.Values)];

    private static int KindOf(LedgerRecord record) => record switch
    {
        LedgerRecord.Opened => 1,
        LedgerRecord.Kdh => 2,
        LedgerRecord.Key => 3,
        LedgerRecord.Endpoint => 4,
        LedgerRecord.Ranges ranges => (int)ranges.What,
        LedgerRecord.Committing => 8,
        LedgerRecord.Checkpoint => 9,
        LedgerRecord.SyncFailed => 10,
        LedgerRecord.Owner => 11,
        LedgerRecord.Segment => 12,
        LedgerRecord.Continued => 13,
        LedgerRecord.PartOf => 14,
        _ => 15,
    };

    private static byte[] Sealed(byte[] state)
    {
        byte[] place = [.. new byte[LedgerFormat.StateHeaderBytes], .. state];
        LedgerFormat.SealState(place, 1);
        return place;
    }

    private static byte[] Ledger(byte[] state, params (LedgerRecordType Type, byte[] Payload)[] records)
    {
        var opened = new LedgerRecord.Opened(new("20261121T013940Z-5f3a9c1e", Ipv4.Loopback, DateTimeOffset.UnixEpoch), Guid.Empty);
        var endpoint = new DumpEndpoint(Ipv4.Loopback, 20100, 0, 20024, 1);
        var file = new List<byte>(new byte[LedgerFormat.FileHeaderBytes]);
        foreach (var (type, payload) in records.Prepend((LedgerRecordType.Endpoint, LedgerFormat.EndpointPayload(endpoint))).Prepend((LedgerRecordType.Opened, LedgerFormat.OpenedPayload(opened))))
        {
            byte[] header = new byte[LedgerFormat.RecordHeaderBytes];
            LedgerFormat.WriteRecordHeader(header, type, [], payload);
            file.AddRange([.. header, .. payload]);
        }

        byte[] ledger = [.. file];
        LedgerFormat.WriteFileHeader(ledger);
        state.CopyTo(ledger, LedgerFormat.StateOffset(1));
        return ledger;
    }

    private static byte[] Range(ulong start, ulong end)
    {
        byte[] bytes = new byte[LedgerFormat.RangeBytes];
        LedgerFormat.WriteRange(bytes, new(start, end));
        return bytes;
    }
}
