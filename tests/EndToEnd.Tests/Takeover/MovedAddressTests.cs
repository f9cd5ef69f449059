using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>The virtual address moves while both nodes are alive: a planned drain, a configuration that flaps, packets that arrive at the wrong one.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class MovedAddressTests(ITestOutputHelper output) : IDisposable
{
    private const double LongestSilenceSeconds = 5;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [TakeoverTheory]
    [InlineData(4)]
    public Task A_node_that_is_told_to_stop_gives_its_dumps_to_the_other_at_once(int drains) => InLabAsync(async (lab, random) =>
    {
        var load = new LabLoad(lab.NewClients(), 8, 8 * 1024);
        string gaps = _temp.File("gaps");
        var moves = new List<long>();
        var sending = LabDumps.SendAsync(lab, load, gaps, "--poll-us", "20000", "--ramp-us", "200000");
        var owner = lab.A;
        for (int i = 0; i < drains; i++)
        {
            await Task.Delay(TimeSpan.FromSeconds(0.3 + random.NextDouble()));
            // As keepalived does when its notify script stops the service.
            await owner.DropAddressAsync();
            moves.Add(await lab.OtherThan(owner).TakeAddressAsync());
            await owner.StopAsync();
            await owner.StartAsync(DyingOwnerTests.TakeoverArguments);
            owner = lab.OtherThan(owner);
        }

        var result = await sending;
        Assert.True(result.ExitCode == 0, $"clients gave up: {result.Output}{result.Error}");
        await LabDumps.SettledAsync(lab);
        await LabDumps.AssertWholeAsync(lab, [load]);
        Assert.Contains(Enumerable.Range(0, load.Count), i => LabDumps.SegmentsOf(lab, ClientOf(load, i)) > 1);
        AssertShort(LabDumps.SilencesAfter(gaps, moves));
    });

    [TakeoverTheory]
    [InlineData(12, false)]
    [InlineData(12, true)]
    public Task An_address_that_flaps_between_two_nodes_that_live_harms_no_dump(int flaps, bool bothHaveIt) => InLabAsync(async (lab, random) =>
    {
        var load = new LabLoad(lab.NewClients(), 6, 12 * 1024);
        string gaps = _temp.File("gaps");
        var moves = new List<long>();
        var sending = LabDumps.SendAsync(lab, load, gaps, "--poll-us", "20000", "--ramp-us", "100000");
        var owner = lab.A;
        for (int i = 0; i < flaps; i++)
        {
            await Task.Delay(TimeSpan.FromSeconds(random.NextDouble()));
            if (!bothHaveIt)
                await owner.DropAddressAsync();
            owner = lab.OtherThan(owner);
            moves.Add(await owner.TakeAddressAsync());
        }

        var result = await sending;
        Assert.True(result.ExitCode == 0, $"clients gave up: {result.Output}{result.Error}");
        await LabDumps.SettledAsync(lab);
        await LabDumps.AssertWholeAsync(lab, [load]);
        int[] segments = [.. Enumerable.Range(0, load.Count).Select(i => LabDumps.SegmentsOf(lab, ClientOf(load, i)))];
        output.WriteLine($"segments: {string.Join(' ', segments)}");
        Assert.Contains(segments, count => count > 2);
        AssertShort(LabDumps.SilencesAfter(gaps, moves));
    });

    /// <summary>Whoever gets a packet may go on with the dump; what the two make of it must be one whole dump.</summary>
    [TakeoverTheory]
    [InlineData(200_001)]
    public Task Packets_that_still_reach_the_old_owner_are_harmless(int lengthBytes) => InLabAsync(async (lab, random) =>
    {
        // Both have the address; the client's ARP says who gets a packet.
        await lab.B.TakeAddressAsync();
        var address = lab.NewClients();
        Assert.True(Ipv4.TryParse(TakeoverLab.VirtualAddress, out var server));
        using var client = lab.Clients.In(() => new WireClient(address, WellKnown.ClientPort, server, TakeoverLab.Port));
        var dump = new TestDump(lengthBytes, TakeoverLab.Seed);
        await lab.SendToAsync(lab.A);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);

        await lab.SendToAsync(lab.B);
        byte[][] atB = client.TakeBurst(dump);
        client.SendUntilAcked(atB);
        // Late, repeated, and half of what comes next.
        await lab.SendToAsync(lab.A);
        byte[][] next = client.TakeBurst(dump);
        foreach (byte[] message in atB.Concat(next.Take(next.Length / 2)).OrderBy(_ => random.Next()))
            client.Send(message);
        await lab.SendToAsync(lab.B);
        client.SendUntilAcked(next);
        client.SendRest(dump);
        await lab.SendToAsync(lab.A);
        client.Send(client.TakeFinished());
        await lab.SendToAsync(lab.B);
        client.Finish();
        await lab.SendToAsync(lab.A);
        client.Finish();

        await LabDumps.SettledAsync(lab);
        var made = Assert.Single(DumpCatalog.Read(lab.Store).Dumps);
        Assert.Equal(DumpStatus.Complete, made.Manifest.Status);
        Assert.True(dump.Content.AsSpan().SequenceEqual(File.ReadAllBytes(made.VmcorePath)), $"{made.VmcorePath} differs");
        Assert.True(LabDumps.SegmentsOf(lab, address.ToString()) > 1);
    });

    private async Task InLabAsync(Func<TakeoverLab, Random, Task> test)
    {
        output.WriteLine($"seed {TakeoverLab.Seed}");
        await using var lab = await TakeoverLab.CreateAsync(_temp.Path);
        await lab.A.StartAsync(DyingOwnerTests.TakeoverArguments);
        await lab.B.StartAsync(DyingOwnerTests.TakeoverArguments);
        try
        {
            await test(lab, new(TakeoverLab.Seed));
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {TakeoverLab.Seed}: {e.Message}\n{lab.Output}", e);
        }
    }

    private void AssertShort(double[] silences)
    {
        Assert.NotEmpty(silences);
        output.WriteLine($"{silences.Length} clients waited: median {silences[silences.Length / 2]:F2} s, longest {silences[^1]:F2} s");
        Assert.InRange(silences[^1], 0, LongestSilenceSeconds);
    }

    private static string ClientOf(LabLoad load, int number) => new Ipv4(load.First.Value + (uint)number).ToString();
}
