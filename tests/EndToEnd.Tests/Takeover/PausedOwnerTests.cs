using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>A node stops as it is (SIGSTOP), the other goes on, and the first wakes up and believes that nothing has happened.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class PausedOwnerTests(ITestOutputHelper output) : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>The same hosts dump anew, from the same ports with the same seqnos, when the old owner wakes up.</summary>
    [TakeoverTheory]
    [InlineData(3, false)]
    [InlineData(3, true)]
    public Task Woken_after_its_dumps_ended_elsewhere_it_harms_neither_them_nor_the_next_ones(int pauses, bool withFiles) => InLabAsync([], async (lab, random) =>
    {
        var loads = new List<LabLoad>();
        var owner = lab.A;
        for (int i = 0; i < pauses; i++)
        {
            var other = lab.OtherThan(owner);
            // These stay with the owner, through its own address, whatever becomes of the virtual one; as they wait for it, they are more patient than a kernel.
            var stay = new LabLoad(lab.NewClients(), 2, 4 * 1024);
            var staying = LabDumps.SendToAsync(lab, owner.Address, stay, _temp.File($"stay-{i}"), "--poll-us", "20000", "--rounds", "60");
            var first = new LabLoad(lab.NewClients(), 6, 3 * 1024);
            var sending = LabDumps.SendAsync(lab, first, _temp.File($"first-{i}"), "--poll-us", "10000", "--ramp-us", "100000");
            await Task.Delay(TimeSpan.FromSeconds(0.2 + random.NextDouble()));
            Task<CommandResult> sendingAnew;
            var next = new LabLoad(first.First, first.Count, 5 * 1024, FirstContent: 1000);
            using (owner.Pause(withFiles))
            {
                await Task.Delay(random.Next(300));
                // The node that hangs keeps the address, too.
                await other.TakeAddressAsync();
                var result = await sending;
                Assert.True(result.ExitCode == 0, $"clients gave up: {result.Output}{result.Error}");
                sendingAnew = LabDumps.SendAsync(lab, next, _temp.File($"next-{i}"), "--poll-us", "10000");
                await Task.Delay(TimeSpan.FromSeconds(random.NextDouble() * 0.8));
            }

            foreach (var result in (CommandResult[])[await sendingAnew, await staying])
                Assert.True(result.ExitCode == 0, $"clients gave up: {result.Output}{result.Error}");
            await owner.DropAddressAsync();
            loads.AddRange([first, next, stay]);
            // It serves on.
            var late = new LabLoad(lab.NewClients(), 2, 512);
            (await LabDumps.SendToAsync(lab, owner.Address, late, _temp.File($"late-{i}"))).Expect(0);
            loads.Add(late);
            owner = other;
        }

        await LabDumps.SettledAsync(lab);
        await LabDumps.AssertWholeAsync(lab, loads);
    });

    [TakeoverTheory]
    [InlineData(10, false)]
    [InlineData(10, true)]
    public Task Stopped_in_its_commit_it_commits_once_with_the_other(int commits, bool withFiles) => InLabAsync([], async (lab, random) =>
    {
        const int Clients = 4;
        var sent = new List<PatientClient>();
        var owner = lab.A;
        try
        {
            for (int i = 0; i < commits; i++)
            {
                var other = lab.OtherThan(owner);
                uint firstClient = lab.NewClients().Value;
                PatientClient[] clients = [.. Enumerable.Range(0, Clients).Select(k => lab.Clients.In(() =>
                    new PatientClient(new(firstClient + (uint)k), TakeoverLab.VirtualAddress, TakeoverLab.Port, new TestDump(30_000, random.Next()).Content, 1448, heraldSeqno: 1, key: new byte[512])))];
                sent.AddRange(clients);
                await Task.WhenAll(clients.Select(client => Task.Run(() =>
                {
                    for (int packet = 0; packet < client.Packets.Count - 1; packet++)
                        client.SendUntilAcked(packet);
                })));

                // Every other time the first half of a dump is another node's, and there is something to join.
                if (i % 2 == 0)
                {
                    await owner.DropAddressAsync();
                    await other.TakeAddressAsync();
                    (owner, other) = (other, owner);
                    foreach (var client in clients)
                        client.SendUntilAcked(client.Packets.Count - 2);
                }

                Array.ForEach(clients, client => client.Send(client.Packets.Count - 1));
                await Task.Delay(random.Next(30));
                using (owner.Pause(withFiles))
                {
                    await other.TakeAddressAsync();
                    foreach (var client in clients)
                        client.SendUntilAcked(client.Packets.Count - 1);
                }

                foreach (var client in clients)
                    client.SendUntilAcked(client.Packets.Count - 1);
                await owner.DropAddressAsync();
                owner = other;
            }
        }
        finally
        {
            sent.ForEach(client => client.Dispose());
        }

        await LabDumps.SettledAsync(lab);
        var catalog = DumpCatalog.Read(lab.Store);
        Assert.Equal(sent.Select(client => client.Address.ToString()).Order(), catalog.Dumps.Select(dump => dump.Manifest.Client).Order());
        foreach (var dump in catalog.Dumps)
        {
            Assert.True(dump.Manifest.Status == DumpStatus.Complete, $"{dump.VmcorePath}: {dump.Manifest}");
            Assert.True(sent.Single(client => client.Address.ToString() == dump.Manifest.Client).Content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)), $"{dump.VmcorePath} differs");
        }

        // A file of an index that no manifest tells of would be a second commit.
        Assert.Equal(catalog.Dumps.Count, Directory.GetFiles(lab.Store, "info.*").Count(path => new FileInfo(path).LinkTarget is null));
        Assert.Equal(catalog.Dumps.Select(dump => Path.GetFileName(dump.VmcorePath)).Order(),
            Directory.GetFiles(lab.Store, "vmcore*").Where(path => new FileInfo(path).LinkTarget is null).Select(path => Path.GetFileName(path)).Order());
        Assert.Empty(catalog.Problems);
    });

    /// <summary>What the sleeper finds in its socket are packets of the dump before; their seqnos are those that the next dump is about to use.</summary>
    [TakeoverTheory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Woken_it_acks_nothing_of_what_it_slept_through(bool endsElsewhere) => InLabAsync(["--loops", "1"], async (lab, random) =>
    {
        Assert.True(Ipv4.TryParse(TakeoverLab.VirtualAddress, out var server));
        Assert.True(Ipv4.TryParse(lab.A.Address, out var own));
        var address = lab.NewClients();
        using var client = lab.Clients.In(() => new WireClient(address, WellKnown.ClientPort, server, TakeoverLab.Port));
        using var witness = lab.Clients.In(() => new WireClient(lab.NewClients(), WellKnown.ClientPort, own, TakeoverLab.Port));
        TestDump before = new(600_001, TakeoverLab.Seed), after = new(150_001, TakeoverLab.Seed + 1);
        witness.Herald();
        client.Herald();
        for (int burst = 0; burst < 5; burst++)
            client.SendBurst(before);
        uint slept = client.NextSeqno;
        Assert.True(slept > after.Content.Length / TestDump.PayloadBytes + 10, "the next dump uses none of these seqnos");
        byte[][] lost = client.TakeBurst(before);
        using (lab.A.Pause(withFiles: false))
        {
            foreach (byte[] message in lost)
                client.Send(message);
            await lab.B.TakeAddressAsync();
            if (endsElsewhere)
            {
                client.SendUntilAcked(lost);
                client.SendRest(before);
                client.Finish();
            }

            client.Reboot();
            client.Herald();
            client.SendBurst(after);
        }

        // One loop takes packets in the order they came.
        witness.SendRest(new(50_001, TakeoverLab.Seed + 2));
        witness.Finish();
        client.SendRest(after);
        client.Finish();
        Assert.DoesNotContain(client.Acks, ack => ack.Seqno >= slept);

        await LabDumps.SettledAsync(lab);
        var dumps = DumpCatalog.Read(lab.Store).Dumps.Where(dump => dump.Manifest.Client == address.ToString()).ToArray();
        Assert.Equal(2, dumps.Length);
        Assert.Equal(endsElsewhere ? 2 : 1, dumps.Count(dump => dump.Manifest.Status == DumpStatus.Complete));
        foreach (var (manifest, path) in dumps.Where(dump => dump.Manifest.Status == DumpStatus.Complete).Select(dump => (dump.Manifest, dump.VmcorePath)))
            Assert.True((manifest.Bytes == (ulong)after.Content.Length ? after : before).Content.AsSpan().SequenceEqual(File.ReadAllBytes(path)), $"{path} differs");
        Assert.Contains(dumps, dump => dump.Manifest is { Status: DumpStatus.Complete } manifest && manifest.Bytes == (ulong)after.Content.Length);
    });

    private async Task InLabAsync(string[] arguments, Func<TakeoverLab, Random, Task> test)
    {
        output.WriteLine($"seed {TakeoverLab.Seed}");
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path);
        await lab.A.StartAsync([.. DyingOwnerTests.TakeoverArguments, .. arguments]);
        await lab.B.StartAsync([.. DyingOwnerTests.TakeoverArguments, .. arguments]);
        try
        {
            await test(lab, new(TakeoverLab.Seed));
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {TakeoverLab.Seed}: {e.Message}\n{lab.Output}", e);
        }
    }
}
