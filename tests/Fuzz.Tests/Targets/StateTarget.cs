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
        yield return TinyPackets();
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

    /// <summary>Packets so small that a burst has more of them than any can.</summary>
    private static byte[] TinyPackets() =>
        Convert.FromHexString(
            "010001000001000001005cc0000000000000002e00000000000000000002000000000000000000000000000000000000000000000000000000000000000000000000000000040000000000449edf0cc5" +
            "3700000000000000000400000000ffffffffffffffff000000000000000020000040f5359adc1d0000000000000000000000000000070000000000000000000000000010000000020000000000000000" +
            "0000000000000000000000000000000100000000000000000000000000000000307e48f099f861f8399f8e38b8e0af37d37592682313d3f33284807efeabaf89f391cfa1bf22dbc6bfdb7b9c754805a4" +
            "d5033141f25957a3e34a00a48f2ff4750000000000000000000000010000003000000002000000a86af227d9266b7296ec9a1b01aa26affb00000000000000000000000000000000f3d2e6ba0071ef9e" +
            "33e34cb42ff8d5a946bc9bd6aee3617cd262a66c3adeeb68b0cb42e298f173c5aa76c6cc3b796b018bc10000000000000000000000000000000000000000000000000000000000010000000000000000" +
            "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000fb139d6c1ab5dcd477aede80eff560bfd44a1985fa523c09" +
            "e968d4a9a9907feda11f013e6358710b2a0f615791ebbaa5beadb9798aa41fa8d69482b2e1332ae62f1cf4e53059d4f4e6b495545c711cb77cac220da8f90d8c00000000000000000000000000000000" +
            "2d289b7eb6f8275516c22b25a5ea96f2f3d2e6ba0071ef9e");

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
