using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>Of what a node that dies had not synced nothing is left.</summary>
/// <param name="output">Told the seed.</param>
[UnsupportedOSPlatform("windows")]
public sealed class KilledOwnerTests(ITestOutputHelper output) : DyingOwnerTests(output);

/// <summary>Some of what a node that dies had not synced is left, and of the names it had made, as a machine leaves it.</summary>
/// <param name="output">Told the seed.</param>
[UnsupportedOSPlatform("windows")]
public sealed class KilledOwnerLeavesSomeTests(ITestOutputHelper output) : DyingOwnerTests(output, "--writeback", "50", "--volatile-names", "50", "--close-flush", "--shared-locks");

/// <summary>Nodes die in mid-dump with all that they had not synced; the other node goes on and nothing that was acked is missing.</summary>
/// <param name="output">Told the seed.</param>
/// <param name="files">What the node's file system does beside.</param>
[UnsupportedOSPlatform("windows")]
public abstract class DyingOwnerTests(ITestOutputHelper output, params string[] files) : IDisposable
{
    /// <summary>Longest time from the move of the virtual address to the next ack.</summary>
    private const double LongestSilenceSeconds = 5;

    private readonly TempDirectory _temp = new();

    public void Dispose()
    {
        _temp.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Long dumps and short ones, so that some are at their herald, first burst, header, key, FINISHED, commit or join at any time.</summary>
    [TakeoverTheory]
    [InlineData(25)]
    public async Task Killed_at_random_moments_every_dump_ends_complete_at_the_other_node(int kills)
    {
        output.WriteLine($"seed {TakeoverLab.Seed}");
        var random = new Random(TakeoverLab.Seed);
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path, ["--seed", Text(TakeoverLab.Seed & 0xffff), .. files]);
        string keyFile = _temp.File("key"), vmcore = _temp.File("vmcore");
        byte[] content = new TestDump(1_500_123, TakeoverLab.Seed).Content;
        File.WriteAllBytes(keyFile, new byte[512]);
        File.WriteAllBytes(vmcore, content);
        await lab.A.StartAsync(TakeoverArguments);
        await lab.B.StartAsync(TakeoverArguments);
        var owner = lab.A;
        var loads = new List<LabLoad>();
        var moves = new List<long>();
        var gaps = new List<string>();
        var keyed = new List<Ipv4>();
        try
        {
            while (moves.Count < kills)
            {
                LabLoad[] round = [new(lab.NewClients(), 4, 6 * 1024), new(lab.NewClients(), 30, 512), new(lab.NewClients(), 3, 8 * 1024)];
                string[][] kinds =
                [
                    ["--poll-us", "10000", "--ramp-us", "1500000"],
                    ["--poll-us", "10000", "--ramp-us", "500000"],
                    ["--poll-us", "10000", "--ramp-us", "4000000", "-p", "1024", "-d", "0.001"],
                ];
                string[] waits = [.. round.Select((_, i) => _temp.File($"gaps-{loads.Count + i}"))];
                var withKey = lab.NewClients();
                keyed.Add(withKey);
                var sends = round.Select((load, i) => LabDumps.SendAsync(lab, load, waits[i], ["--seed", Text(random.Next(1, 1 << 16)), .. kinds[i]])).ToList();
                sends.Add(lab.Clients.RunAsync(Collector.Executable, "send", "--server", TakeoverLab.VirtualAddress, "--from", withKey.ToString(), "--kernel", "--key", keyFile, "--clients", "4", vmcore));
                loads.AddRange(round);
                gaps.AddRange(waits);
                owner = await KillWhileAsync(Task.WhenAll(sends), lab, owner, random, moves);
                foreach (var send in sends)
                {
                    var result = await send;
                    Assert.True(result.ExitCode == 0, $"clients gave up: {result.Output}{result.Error}");
                }
            }

            await LabDumps.SettledAsync(lab);
            foreach (uint client in keyed.SelectMany(first => Enumerable.Range(0, 4).Select(i => first.Value + (uint)i)))
            {
                var dump = Assert.Single(DumpCatalog.Read(lab.Store).Dumps, dump => dump.Manifest.Client == new Ipv4(client).ToString());
                Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
                Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)), $"{dump.VmcorePath} differs");
                Assert.True(File.Exists(Path.Combine(Path.GetDirectoryName(dump.VmcorePath)!, dump.Manifest.Files.Key!)));
            }

            await LabDumps.AssertWholeAsync(lab, loads, besides: 4 * keyed.Count);
            double[] silences = [.. gaps.SelectMany(file => LabDumps.SilencesAfter(file, moves)).Order()];
            Assert.NotEmpty(silences);
            output.WriteLine($"{moves.Count} kills, {silences.Length} clients waited: median {silences[silences.Length / 2]:F2} s, longest {silences[^1]:F2} s");
            Assert.InRange(silences[^1], 0, LongestSilenceSeconds);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {TakeoverLab.Seed}, {moves.Count} kills, files {string.Join(' ', files)}: {e.Message}\n{lab.Output}", e);
        }
    }

    /// <summary>Each packet of a dump is the last that the dying node got; it may have done anything with it, or nothing.</summary>
    [TakeoverTheory]
    [InlineData(6)]
    public async Task Killed_after_any_packet_the_dump_goes_on(int clientsEach)
    {
        output.WriteLine($"seed {TakeoverLab.Seed}");
        var random = new Random(TakeoverLab.Seed);
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path, ["--seed", Text(TakeoverLab.Seed & 0xffff), .. files]);
        await lab.A.StartAsync(TakeoverArguments);
        await lab.B.StartAsync(TakeoverArguments);
        var owner = lab.A;
        var sent = new List<PatientClient>();
        try
        {
            const int Herald = 0, Key = 1, First = 2, Middle = 12, Last = -3, Header = -2, Finished = -1;
            foreach (int moment in (int[])[Herald, Key, First, Middle, Last, Header, Finished, Finished, Finished, Finished])
            {
                uint firstClient = lab.NewClients().Value;
                PatientClient[] clients = [.. Enumerable.Range(0, clientsEach).Select(i => lab.Clients.In(() =>
                    new PatientClient(new(firstClient + (uint)i), TakeoverLab.VirtualAddress, TakeoverLab.Port, new TestDump(30_000, random.Next()).Content, 1448, heraldSeqno: 1, key: new byte[512])))];
                sent.AddRange(clients);
                int last = moment < 0 ? clients[0].Packets.Count + moment : moment;
                await Task.WhenAll(clients.Select(client => SendAsync(client, 0, last)));

                Array.ForEach(clients, client => client.Send(last));
                // From nothing of it to all of it, an answer included.
                await Task.Delay(random.Next(3) == 0 ? 0 : random.Next(40));
                await owner.DieAsync();
                var dead = owner;
                owner = lab.OtherThan(owner);
                await owner.TakeAddressAsync();
                // A herald that was answered is not sent again.
                int finished = clients[0].Packets.Count + Finished;
                await Task.WhenAll(clients.Select(client => SendAsync(client, moment == Herald && client.IsAcked(Herald, TimeSpan.Zero) ? Key : last, finished)));
                await dead.BootAsync();
                await dead.StartAsync(TakeoverArguments);

                // The ack of FINISHED may be lost, too: who comes next answers for those that linger.
                await Task.WhenAll(clients.Select(client => SendAsync(client, finished, finished + 1)));
                await owner.DieAsync();
                (dead, owner) = (owner, dead);
                await owner.TakeAddressAsync();
                await Task.WhenAll(clients.Select(client => SendAsync(client, finished, finished + 1)));
                await dead.BootAsync();
                await dead.StartAsync(TakeoverArguments);
            }

            await LabDumps.SettledAsync(lab);
            var dumps = DumpCatalog.Read(lab.Store).Dumps;
            Assert.Equal(sent.Select(client => client.Address.ToString()).Order(), dumps.Select(dump => dump.Manifest.Client).Order());
            foreach (var dump in dumps)
            {
                Assert.True(dump.Manifest.Status == DumpStatus.Complete, $"{dump.VmcorePath}: {dump.Manifest}");
                Assert.True(sent.Single(client => client.Address.ToString() == dump.Manifest.Client).Content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)), $"{dump.VmcorePath} differs");
            }
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {TakeoverLab.Seed}, files {string.Join(' ', files)}: {e.Message}\n{lab.Output}", e);
        }
        finally
        {
            sent.ForEach(client => client.Dispose());
        }
    }

    private static Task SendAsync(PatientClient client, int from, int end) => Task.Run(() =>
    {
        for (int packet = from; packet < end; packet++)
            client.SendUntilAcked(packet);
    });

    /// <summary>What every node is started with. A kernel gives up after 12 s; what one left behind need not be waited for longer than that.</summary>
    internal static string[] TakeoverArguments { get; } = ["--endpoint", "shared", "--takeover", "--timeout", "30"];

    /// <summary>Kills whoever has the virtual address and moves it to the other node, over and over, until the clients have ended.</summary>
    /// <returns>Who has the address.</returns>
    private static async Task<LabNode> KillWhileAsync(Task clients, TakeoverLab lab, LabNode owner, Random random, List<long> moves)
    {
        // A kernel repeats a burst each second: so often it reaches a node that stays for a while.
        const double Enough = 2.5;
        const int ShortStaysInARow = 4;
        for (int kills = 1; ; kills++)
        {
            double stay = kills % ShortStaysInARow == 0 ? Enough : random.NextDouble() * (random.Next(2) == 0 ? 0.2 : 1.2);
            if (await Task.WhenAny(clients, Task.Delay(TimeSpan.FromSeconds(stay))) == clients)
                return owner;
            await owner.DieAsync();
            var dead = owner;
            owner = lab.OtherThan(owner);
            moves.Add(await owner.TakeAddressAsync());
            await dead.BootAsync();
            await dead.StartAsync(TakeoverArguments);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
