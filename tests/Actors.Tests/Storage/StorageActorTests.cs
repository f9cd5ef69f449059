using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Storage;

[UnsupportedOSPlatform("windows")]
public sealed class StorageActorTests
{
    private const int LogWriteError = 1011;
    private const int LogWritesAgain = 1012;

    [Theory, EveryEndpoint]
    public async Task Without_its_directory_a_dump_is_not_acked_and_goes_on_when_that_is_back(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        Directory.Delete(collector.Root);
        int acked = client.Acks.Count;

        byte[][] burst = client.TakeBurst(dump);
        foreach (byte[] packet in burst)
            client.Send(packet);
        await collector.Log.Line(LogWriteError);
        AssertNothingAcked(client, acked);
        Directory.CreateDirectory(collector.Root);
        client.SendUntilAcked(burst);
        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        Assert.Equal(1, collector.Log.Count(LogWritesAgain));
    }

    [TinyFileSystemTheory, EveryEndpoint]
    public async Task Without_room_for_another_file_a_dump_is_not_acked_and_goes_on_when_there_is(string transport, EndpointMode mode)
    {
        using var tiny = new TinyFileSystem("size=4m,nr_inodes=9");
        await using (var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Directory = tiny.Path }))
        {
            var client = collector.NewClient();
            var dump = new TestDump(300_000);
            client.Herald();
            int acked = client.Acks.Count;
            // With the root these are all inodes.
            for (int i = 0; i < 8; i++)
                File.WriteAllText(Path.Combine(tiny.Path, $"filler.{i}"), "");

            byte[][] burst = client.TakeBurst(dump);
            foreach (byte[] packet in burst)
                client.Send(packet);
            await collector.Log.Line(LogWriteError);
            AssertNothingAcked(client, acked);
            for (int i = 0; i < 8; i++)
                File.Delete(Path.Combine(tiny.Path, $"filler.{i}"));
            client.SendUntilAcked(burst);
            client.SendRest(dump);
            client.Finish();

            await collector.AssertComplete(client, dump);
        }
    }

    [TinyFileSystemTheory, EveryEndpoint]
    public async Task On_a_full_disk_only_what_is_written_is_acked_and_the_dump_goes_on_when_there_is_space(string transport, EndpointMode mode)
    {
        using var tiny = new TinyFileSystem("size=1m");
        await using (var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Directory = tiny.Path }))
        {
            var client = collector.NewClient();
            var dump = new TestDump(400_000);
            string filler = Path.Combine(tiny.Path, "filler");
            File.WriteAllBytes(filler, new byte[900_000]);
            client.Herald();
            client.SendBurst(dump);

            // 1 MiB less the filler has room for two bursts and not for three.
            var packets = new Dictionary<uint, byte[]>();
            while (collector.Log.Count(LogWriteError) == 0)
            {
                byte[][] burst = client.TakeBurst(dump);
                foreach (byte[] packet in burst)
                {
                    packets.Add(TestDump.SeqnoOf(packet), packet);
                    client.Send(packet);
                }

                await Eventually.Holds(
                    () => Received(client).IsSupersetOf(burst.Select(TestDump.SeqnoOf)) || collector.Log.Count(LogWriteError) > 0, "the burst is acked or fails");
            }

            // What is acked by now is in the file that is read after it.
            Received(client);
            byte[] stored = File.ReadAllBytes(Assert.Single(Directory.GetFiles(tiny.Path, "partial.*"), path => !path.EndsWith(".ledger", StringComparison.Ordinal)));
            AssertStored(client, packets, stored);
            var unacked = packets.Where(packet => !client.Acks.Any(ack => ack.Seqno == packet.Key)).Select(packet => packet.Value).ToArray();
            Assert.NotEmpty(unacked);

            File.Delete(filler);
            client.SendUntilAcked(unacked);
            client.SendRest(dump);
            client.Finish();

            await collector.AssertComplete(client, dump);
            Assert.Equal((1, 1), (collector.Log.Count(LogWriteError), collector.Log.Count(LogWritesAgain)));
        }
    }

    private static HashSet<uint> Received(WireClient client)
    {
        while (client.TryReceive(TimeSpan.FromMilliseconds(20)) is not null)
        {
        }

        return [.. client.Acks.Select(ack => ack.Seqno)];
    }

    private static void AssertNothingAcked(WireClient client, int acked)
    {
        while (client.TryReceive(TimeSpan.Zero) is not null)
        {
        }

        Assert.Equal(acked, client.Acks.Count);
    }

    private static void AssertStored(WireClient client, Dictionary<uint, byte[]> packets, byte[] stored)
    {
        foreach (var ack in client.Acks.Where(ack => packets.ContainsKey(ack.Seqno)))
        {
            byte[] packet = packets[ack.Seqno];
            Assert.True(MessageHeader.TryRead(packet, out var header));
            Assert.True(header.Offset + header.Length <= (ulong)stored.Length, $"packet {ack.Seqno} is acked and beyond the end of the file");
            Assert.True(packet.AsSpan(MessageHeader.SizeBytes).SequenceEqual(stored.AsSpan((int)header.Offset, (int)header.Length)), $"packet {ack.Seqno} is acked and not stored");
        }
    }
}
