using System.Buffers.Binary;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The places of <c>.heralds.PORT</c>, behind its header.</summary>
internal sealed class HeraldsTarget : FuzzTarget
{
    public override string Name => "heralds";

    public override int TestInputs => 50_000;

    // A herald and a copy of its path for each place.
    public override long MostAllocatedBytes(int inputBytes) => 1024 + (2 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds()
    {
        byte[] places = new byte[2 * HeraldLedger.PlaceBytes];
        for (int at = 0; at < places.Length; at += HeraldLedger.PlaceBytes)
        {
            var place = places.AsSpan(at);
            BinaryPrimitives.WriteUInt16LittleEndian(place[4..], 4);
            BinaryPrimitives.WriteUInt32LittleEndian(place[6..], 0x0a000207);
            LedgerFormat.EndpointPayload(new(new(1), 20100, 0, 20024, 1)).CopyTo(place[10..]);
            BinaryPrimitives.WriteInt64LittleEndian(place[24..], DateTimeOffset.UnixEpoch.UtcTicks);
            "a/b\0"u8.CopyTo(place[HeraldLedger.FixedBytes..]);
        }

        Repair(places);
        yield return places;
        yield return places[..(HeraldLedger.PlaceBytes + HeraldLedger.FixedBytes + 4)];
    }

    public override void Repair(Span<byte> input)
    {
        for (var place = input; place.Length >= HeraldLedger.FixedBytes; place = place[Math.Min(HeraldLedger.PlaceBytes, place.Length)..])
        {
            int end = HeraldLedger.FixedBytes + BinaryPrimitives.ReadUInt16LittleEndian(place[4..]);
            if (end <= place.Length)
                BinaryPrimitives.WriteUInt32LittleEndian(place, ~LedgerFormat.Crc32C(uint.MaxValue, place[4..end]));
        }
    }

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        run.Enter();
        var heralds = HeraldLedger.Read(input);
        run.Leave();
        foreach (var remembered in heralds)
        {
            Check(remembered.Place >= 0 && remembered.Place * HeraldLedger.PlaceBytes < input.Length, "a herald lies in a place that is there");
            Check(remembered.Herald.Path.Length <= HeraldLedger.PlaceBytes, "a path fits its place");
            run.Saw(0, remembered.Place, FuzzRun.Bucket(remembered.Herald.Path.Length));
        }
    }
}
