using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>A saved state that passes its checksum and was never saved: eight bytes of flags, the state, four ranges, then orders as in <see cref="SessionTarget"/>.</summary>
internal sealed class StateTarget : FuzzTarget
{
    private const int Ranges = 4;
    private const int RangeBytes = 16;
    private const int StateAt = 8;
    private const int RangesAt = StateAt + DumpSession.StateBytes;
    private const int OrdersAt = RangesAt + (Ranges * RangeBytes);

    public override string Name => "state";

    public override int TestInputs => 3000;

    public override int MaxInputBytes => OrdersAt + (60 * SessionModel.OrderBytes);

    public override int UnitBytes => SessionModel.OrderBytes;

    public override long MostAllocatedBytes(int inputBytes) => long.MaxValue;

    public override IEnumerable<byte[]> Seeds()
    {
        foreach (byte[] orders in SessionOrders.All())
        {
            for (int saved = SessionModel.OrderBytes; saved < orders.Length; saved += 2 * SessionModel.OrderBytes)
            {
                var model = new SessionModel(SessionModel.TestOptions, keepsPromises: true);
                model.Run(orders.AsSpan(0, saved), new());
                if (model.SavedState is { } state)
                    yield return [.. new byte[StateAt], .. state, .. new byte[Ranges * RangeBytes], .. orders.AsSpan(saved)];
            }
        }
    }

    /// <summary>The version.</summary>
    public override void Repair(Span<byte> input)
    {
        if (input.Length > StateAt)
            input[StateAt] = 1;
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        if (input.Length < OrdersAt)
            return;

        byte[] state = input[StateAt..RangesAt].ToArray();
        if (!DumpSession.IsState(state))
            return;

        var ranges = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ByteRange>(input[RangesAt..OrdersAt]).ToArray();
        var kept = DumpSession.FirstBurstOf(state);
        byte[] burst = kept is ByteRange range ? new byte[range.Length] : [];
        // Bytes as the orders' packets have them.
        for (int i = 0; i < burst.Length; i++)
            burst[i] = (byte)(kept!.Value.Start + (ulong)i);
        var saved = new SavedSession
        {
            HeraldSeqno = input[1],
            State = state,
            FirstBurst = (input[0] & 1) == 0 ? burst : [],
            MovedFirstBurst = burst,
            Ranges = ranges[..(input[2] % (Ranges + 1))],
            Damaged = ranges[..(input[3] % (Ranges + 1))],
            Overwritten = ranges[..(input[4] % (Ranges + 1))],
            FileLength = (input[0] & 8) == 0 ? 0 : ranges[0].End & long.MaxValue,
            UnverifiedEnd = (input[0] & 2) == 0 ? 0 : ranges[0].End,
            MachineCrashed = (input[0] & 4) != 0,
        };
        var model = new SessionModel(SessionModel.TestOptions, keepsPromises: false);
        model.Restore(saved, run);
        run.Saw(0, state[128], FuzzRun.Bucket((long)DumpSession.ContiguousBytesOf(state)), kept is null ? 0 : 1);
        model.Run(input[OrdersAt..], run);
        SessionOrders.CheckAllocated(run, model);
    }
}
