namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>A whole dump: packets, times, results of the disk, restarts. See <see cref="SessionModel"/> for what the bytes mean.</summary>
internal sealed class SessionTarget : FuzzTarget
{
    public override string Name => "session";

    public override int TestInputs => 3000;

    public override int MaxInputBytes => 100 * SessionModel.OrderBytes;

    public override int UnitBytes => SessionModel.OrderBytes;

    public override long MostAllocatedBytes(int inputBytes) => long.MaxValue;

    public override IEnumerable<byte[]> Seeds() => SessionOrders.All();

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        var model = new SessionModel(SessionModel.TestOptions, keepsPromises: true);
        model.Run(input, run);
        SessionOrders.CheckAllocated(run, model);
    }
}

/// <summary>Orders to begin with, and the bound of what carrying them out may allocate.</summary>
internal static class SessionOrders
{
    // A session has its windows, a copy of its first burst, and lists of as many ranges as the limits allow; a packet is some intents. A packet that makes the key longer copies it, and a header's
    // texts are formatted.
    private const long SessionBytes = 192 << 10;
    private const long PacketBytes = 256;
    private const long ControlPacketBytes = 16 << 10;

    public static void CheckAllocated(FuzzRun run, SessionModel model)
    {
        long most = (SessionBytes * model.Sessions) + (PacketBytes * model.Packets) + (ControlPacketBytes * model.ControlPackets);
        if (run.AllocatedBytes > most)
            throw new FuzzTarget.BrokenException($"{run.AllocatedBytes} bytes were allocated where {most} are the most");
    }

    public static IEnumerable<byte[]> All()
    {
        byte[] burst = [0, 1 | 32, 0, 15, 0, 0, 0, 0], lossy = [0, 0, 0, 15, 2, 0, 0, 1], again = [0, 1 | 32, 0, 15, 0, 0, 0, 0], settle = [9, 0, 0, 0, 0, 0, 0, 0], second = [11, 7, 1, 0, 0, 0, 0, 0];
        byte[] header = [5, 4, 0, 0, 0, 0, 0, 2], finished = [7, 4, 0, 0, 0, 0, 0, 0], commit = [15, 1, 0, 0, 0, 0, 0, 0], kill = [13, 0, 0, 0, 0, 0, 0, 0], crash = [13, 1, 0, 0, 0, 0, 0, 0], checkpoint = [14, 1, 0, 0, 0, 0, 0, 0];
        byte[] stale = [3, 4, 0, 0, 4, 0, 2, 1], jumbo = [0, 1 | 32, 14, 15, 0, 0, 0, 0], fails = [9, 3, 5, 0, 0, 0, 0, 0], head = [15, 0, 1, 0, 0, 0, 0, 0], flood = [4, 2, 255, 255, 2, 0, 0, 15], altered = [0, 1 | 8, 0, 15, 0, 0, 0, 0];
        yield return [.. burst, .. settle, .. burst, .. settle, .. header, .. settle, .. finished, .. settle, .. commit, .. finished, .. settle];
        yield return [.. burst, .. settle, .. lossy, .. settle, .. second, .. again, .. settle, .. header, .. finished, .. settle, .. commit, .. kill, .. finished, .. settle];
        yield return [.. burst, .. settle, .. lossy, .. settle, .. kill, .. second, .. again, .. settle, .. kill, .. burst, .. settle, .. header, .. kill, .. header, .. finished, .. settle, .. commit];
        yield return [.. burst, .. settle, .. checkpoint, .. burst, .. settle, .. crash, .. burst, .. settle, .. second, .. second];
        yield return [.. stale, .. settle, .. burst, .. settle, .. burst, .. settle, .. header, .. finished, .. settle, .. commit];
        yield return [.. jumbo, .. settle, .. jumbo, .. kill, .. jumbo, .. settle, .. header, .. finished, .. settle, .. commit];
        yield return [.. flood, .. settle, .. flood, .. flood, .. kill, .. second, .. second];
        // A burst that was given up with some of it stored, and a header that makes the next begin in its midst.
        yield return Convert.FromHexString("c032466c85dc44469149071000ffff03e86d62ba28ea3903fd6d5b49a10101157518ab95b0a2dfb5d3ad9d7fb6c27dbfe20000821ba25acf195fefed5cc31de3f5cc92653274f8c617c5e8ff0fc645e30004000000000000");
        // Less than 64 KiB that nobody acked is in the file of a killed process, and the client of the next one goes on behind it.
        yield return Convert.FromHexString("0021000f00000000aba338b3daaff66bb22b47ae76cb6c5e8c7ab4d477e57c501de300100000000000000000000f0900ccd9f6f933b2bee20000001000000402ffff0200000f0d006d5b49a101011575");
        yield return [.. burst, .. fails, .. second, .. again, .. settle, .. head, .. altered, .. settle, .. burst, .. settle];
    }
}
