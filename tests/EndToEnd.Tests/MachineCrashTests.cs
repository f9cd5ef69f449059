using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The collector's machine crashes and loses any subset of what was not synced; another boot finds what is left.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class MachineCrashTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();
    private readonly string _address = Collector.NewServerAddress();
    private readonly Ipv4 _firstClient = Collector.NewClientAddresses();

    /// <summary>What each client sent.</summary>
    private readonly Dictionary<string, TestDump> _sent = [];

    /// <summary>Dumps whose bytes were compared after a crash.</summary>
    private readonly HashSet<string> _compared = [];

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData("ephemeral", 30)]
    [InlineData("shared", 30)]
    public async Task A_dump_whose_FINISHED_was_acked_is_whole_after_a_crash_of_the_machine(string endpoint, int seeds)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        for (int seed = 1; seed <= seeds; seed++)
        {
            await using (var collector = await StartInNewBootAsync(endpoint))
            {
                using var client = NewClient(collector);
                var dump = NewDump(client, 100_001 + 17 * seed);
                client.SendDump(dump);

                await files.CrashAsync(seed);

                await collector.KillAsync();
            }

            await files.UpAsync();
            AssertHonest(acked: _sent.Keys, isLast: false);
        }

        await using var last = await StartInNewBootAsync(endpoint);
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", Dumps)).Expect(0);
        await last.StopAsync();
        AssertHonest(acked: _sent.Keys);
    }

    [FuseTheory]
    [InlineData("ephemeral", 30)]
    [InlineData("shared", 30)]
    public async Task After_a_crash_in_mid_dump_nothing_says_complete_that_is_not_whole(string endpoint, int seeds)
    {
        const int Clients = 3, LongestRunCalls = 400;
        var acked = new HashSet<string>();
        int unfinished = 0;
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        for (int seed = 1; seed <= seeds; seed++)
        {
            await using (var collector = await StartInNewBootAsync(endpoint))
            {
                var clients = Enumerable.Range(0, Clients).Select(_ => NewClient(collector)).ToArray();
                int calls = 1 + new Random(seed).Next(LongestRunCalls);
                await files.TellAsync($"crash {seed} after {calls}");
                var sending = clients.Select(client => SendAsync(client, NewDump(client, 300_001 + seed))).ToArray();
                // The machine crashes at that call, or when there were not so many.
                var crashed = files.CrashedAsync();
                await Task.WhenAny(crashed, Task.WhenAll(sending));
                await files.TellAsync($"crash {seed}");
                await crashed;
                await collector.KillAsync();
                foreach (var client in clients)
                    client.Dispose();
                foreach (var (client, finished) in clients.Zip(await Task.WhenAll(sending)))
                {
                    if (finished)
                        acked.Add(client.Address.ToString());
                    else
                        unfinished++;
                }
            }

            await files.UpAsync();
            AssertHonest(acked, isLast: false);
        }

        // Each run of this test must have met both.
        Assert.NotEmpty(acked);
        Assert.True(unfinished > 0);
        await using var last = await StartInNewBootAsync(endpoint);
        await Eventually.Holds(() => DumpCatalog.Read(Dumps).Partials.All(partial => !partial.IsRunning), "what the crashes left has ended");
        await last.StopAsync();
        AssertHonest(acked);
    }

    [FuseTheory]
    [InlineData("ephemeral", 4)]
    [InlineData("shared", 4)]
    public async Task After_a_crash_while_a_commit_is_taken_back_and_tried_again_nothing_says_complete_that_is_not_whole(string endpoint, int seeds)
    {
        // The names' fsync fails, or that of the manifest's name; so many calls are the two attempts.
        const int FsyncsBefore = 4, LongestCommitCalls = 50;
        var acked = new HashSet<string>();
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        for (int seed = 1; seed <= seeds; seed++)
        {
            await using (var collector = await StartInNewBootAsync(endpoint))
            {
                using var client = NewClient(collector);
                var dump = NewDump(client, 100_001 + seed);
                client.Herald();
                client.SendRest(dump);
                await files.TellAsync($"fail fsync EIO after {FsyncsBefore + (seed % 2)} once");
                await files.TellAsync($"crash {seed} after {15 + new Random(seed).Next(LongestCommitCalls - 15)}");
                var finishing = FinishAsync(client);
                var crashed = files.CrashedAsync();
                await Task.WhenAny(crashed, finishing);
                await files.TellAsync($"crash {seed}");
                await crashed;
                await collector.KillAsync();
                client.Dispose();
                if (await finishing)
                    acked.Add(client.Address.ToString());
            }

            await files.RecoverAsync();
            await files.UpAsync();
            AssertHonest(acked, isLast: false);
        }

        await using var last = await StartInNewBootAsync(endpoint);
        await Eventually.Holds(() => DumpCatalog.Read(Dumps).Partials.All(partial => !partial.IsRunning), "what the crashes left has ended");
        await last.StopAsync();
        AssertHonest(acked);
    }

    [FuseTheory]
    [InlineData("ephemeral", 1)]
    [InlineData("shared", 2)]
    public async Task What_a_checkpoint_vouches_for_survives_and_the_rest_is_not_claimed(string endpoint, int seed)
    {
        const int Clients = 4;
        // The client sends on while the server waits for its checkpoints, which are seconds apart.
        var pause = TimeSpan.FromMilliseconds(100);
        var vouched = new Dictionary<string, ulong>();
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using (var collector = await StartInNewBootAsync(endpoint))
        {
            var senders = Enumerable.Range(0, Clients).Select(_ => NewClient(collector)).ToArray();
            foreach (var client in senders)
            {
                NewDump(client, 32 << 20 | 1);
                client.Herald();
            }

            while (vouched.Count < Clients)
            {
                foreach (var client in senders)
                    client.SendBurst(_sent[client.Address.ToString()]);
                foreach (var partial in DumpCatalog.Read(Dumps).Partials)
                {
                    var checkpoints = LedgerFile.Read(partial.Path + ".ledger").Records.OfType<LedgerRecord.Checkpoint>().ToArray();
                    // The next one begins only when the one before is on the device.
                    if (checkpoints.Length > 1)
                        vouched[partial.Opened!.Identity.Client.ToString()] = checkpoints[^2].Stored.Aggregate(0ul, (sum, range) => sum + range.Length);
                }

                await Task.Delay(pause);
            }

            await files.CrashAsync(seed);
            await collector.KillAsync();
            foreach (var client in senders)
                client.Dispose();
        }

        await files.UpAsync();
        await using var next = await StartInNewBootAsync(endpoint);
        await Eventually.Holds(() => next.Dumps.Count == Clients, "the dumps that the crash interrupted have ended");
        AssertHonest(acked: []);
        foreach (var dump in next.Dumps)
        {
            Assert.Equal((DumpStatus.Incomplete, EndReason.MachineCrashed), (dump.Manifest.Status, dump.Manifest.Reason));
            Assert.True(vouched[dump.Manifest.Client] > 0);
            Assert.True(dump.Manifest.CoveredBytes >= vouched[dump.Manifest.Client], $"{dump.Manifest.CoveredBytes} bytes are left of {vouched[dump.Manifest.Client]}");
            byte[] content = _sent[dump.Manifest.Client].Content;
            int certain = (int)vouched[dump.Manifest.Client];
            Assert.True(File.ReadAllBytes(dump.VmcorePath).AsSpan(0, certain).SequenceEqual(content.AsSpan(0, certain)));
        }

        await next.StopAsync();
    }

    /// <summary>Sends a dump from herald to FINISHED, or until the client is disposed.</summary>
    /// <returns>FINISHED was acked.</returns>
    private static Task<bool> SendAsync(WireClient client, TestDump dump) => IsDoneAsync(() => client.SendDump(dump));

    /// <summary>Sends FINISHED until it is acked, or the client is disposed.</summary>
    /// <returns>FINISHED was acked.</returns>
    private static Task<bool> FinishAsync(WireClient client) => IsDoneAsync(client.Finish);

    private static Task<bool> IsDoneAsync(Action send) => Task.Run(() =>
    {
        try
        {
            send();
            return true;
        }
        catch (Exception e) when (e is ObjectDisposedException or SocketException)
        {
            return false;
        }
    });

    /// <summary>Whatever says complete is whole, and every dump whose FINISHED was acked does.</summary>
    /// <param name="acked">Clients.</param>
    /// <param name="isLast">All bytes are compared, and not only those of dumps that are new: what a later crash takes away stays away.</param>
    private void AssertHonest(IEnumerable<string> acked, bool isLast = true)
    {
        var catalog = DumpCatalog.Read(Dumps);
        Assert.DoesNotContain(catalog.Problems, problem => Path.GetFileName(problem.Path).StartsWith("dump.", StringComparison.Ordinal));
        foreach (var dump in catalog.Dumps.Where(dump => dump.Manifest.Status == DumpStatus.Complete && (_compared.Add(dump.Manifest.Id) || isLast)))
        {
            Assert.True(_sent[dump.Manifest.Client].Content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)), $"{dump.VmcorePath} is called complete and is not whole");
            Assert.Contains("Dump complete", File.ReadAllText(dump.InfoPath), StringComparison.Ordinal);
        }

        foreach (string client in acked)
            Assert.Equal(DumpStatus.Complete, Assert.Single(catalog.Dumps, dump => dump.Manifest.Client == client).Manifest.Status);
    }

    private Task<Collector> StartInNewBootAsync(string endpoint) =>
        Collector.StartInBootAsync(Guid.NewGuid(), _address, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);

    private WireClient NewClient(Collector collector)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        var client = new WireClient(new(_firstClient.Value + (uint)_sent.Count), _clientPort, server, collector.Port);
        _sent.Add(client.Address.ToString(), null!);
        return client;
    }

    private TestDump NewDump(WireClient client, int lengthBytes) => _sent[client.Address.ToString()] = new(lengthBytes, (int)client.Address.Value);
}
