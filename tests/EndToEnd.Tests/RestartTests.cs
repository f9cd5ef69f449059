using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Whenever the server is killed, dumps go on and nothing that was acked is missing.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class RestartTests(ITestOutputHelper output) : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>The project's own model of the kernel, with an MTU of 576 and a key.</summary>
    [Fact]
    public Task The_kernels_of_send_survive_kills() => Task.WhenAll(SendWhileKilled("ephemeral"), SendWhileKilled("shared"));

    private async Task SendWhileKilled(string endpoint)
    {
        output.WriteLine($"seed {KilledCollector.Seed}");
        string vmcore = _temp.File($"{endpoint}.vmcore"), keyFile = _temp.File($"{endpoint}.key");
        await using var server = new KilledCollector(_temp.File(endpoint), "--endpoint", endpoint);
        await server.StartAsync();
        byte[] content = RandomBytes(new(KilledCollector.Seed), 1_500_123), key = new byte[512];
        File.WriteAllBytes(vmcore, content);
        File.WriteAllBytes(keyFile, key);
        var sends = Task.WhenAll(from payload in (int[])[524, 1448]
                                 select Collector.RunAsync("send", "--server", server.Address, "--port", Text(server.Port), "--from", Collector.NewClientAddresses().ToString(),
                                     "--kernel", "--payload", Text(payload), "--key", keyFile, "--loss", "0.002", "--clients", "4", vmcore));
        // That command gives up when nobody answers it at first.
        await Eventually.Holds(() => server.Running.Lines.Count(line => line.StartsWith("New dump", StringComparison.Ordinal)) == 8, "all clients have begun");
        await server.KillWhileAsync(sends, new(KilledCollector.Seed), loses: true);

        Assert.All(await sends, send => Assert.True(send.ExitCode == 0, $"seed {KilledCollector.Seed}\n{send.Output}{send.Error}\n{string.Join("\n-- killed --\n", server.Outputs)}"));
        var dumps = await server.Running.HashedDumpsAsync(8);
        Assert.All(dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        Assert.All(dumps, dump => Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath))));
        Assert.All(dumps, dump => Assert.Equal(key, File.ReadAllBytes(dump.KeyPath!)));
    }

    /// <summary>The ack has not come when the server is killed, or the client does not see it.</summary>
    [Fact]
    public Task Killed_at_each_step_of_a_dump_it_goes_on_from_there() => Task.WhenAll(
        KillAtEachStep("ephemeral", heraldSeqno: 0, payloadBytes: 1448),
        KillAtEachStep("shared", heraldSeqno: 0, payloadBytes: 8948),
        KillAtEachStep("ephemeral", heraldSeqno: 1, payloadBytes: 524),
        KillAtEachStep("shared", heraldSeqno: 1, payloadBytes: 1448));

    private async Task KillAtEachStep(string endpoint, uint heraldSeqno, int payloadBytes)
    {
        await Task.Yield();
        output.WriteLine($"seed {KilledCollector.Seed}");
        var random = new Random(KilledCollector.Seed);
        byte[] content = RandomBytes(random, payloadBytes * 5);
        await using var server = new KilledCollector(_temp.File($"{endpoint}-{payloadBytes}"), "--endpoint", endpoint);
        await server.StartAsync();
        using var client = new PatientClient(Collector.NewClientAddresses(), server.Address, server.Port, content, payloadBytes, heraldSeqno, new byte[512]);

        for (int packet = 0; packet < client.Packets.Count; packet++)
        {
            client.Send(packet);
            await Task.Delay(random.Next(3) == 0 ? 0 : random.Next(12));
            await server.KillAsync();
            // What got its answer is not sent again, a herald's port least of all asked for.
            bool isAcked = client.IsAcked(packet, TimeSpan.Zero);
            for (int starts = random.Next(2); starts >= 0; starts--)
            {
                await server.StartAsync();
                if (starts > 0)
                    await server.KillAsync();
            }

            if (!isAcked)
                client.SendUntilAcked(packet);
        }

        // FINISHED was acked; that ack may be lost too.
        await server.KillAsync();
        await server.StartAsync();
        client.SendUntilAcked(client.Packets.Count - 1);
        await server.LingersNoMoreAsync();
        var dump = Assert.Single(server.Running.Dumps);
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.Equal(content, File.ReadAllBytes(dump.VmcorePath));
        Assert.Empty(server.LeftOvers());
    }

    /// <summary>The whole time from FINISHED to its ack is hit, most of all the commit.</summary>
    [Fact]
    public Task Killed_while_dumps_are_made_durable_it_makes_them_durable_once() => Task.WhenAll(KillDuringCommits("ephemeral"), KillDuringCommits("shared"));

    private async Task KillDuringCommits(string endpoint)
    {
        await Task.Yield();
        output.WriteLine($"seed {KilledCollector.Seed}");
        var random = new Random(KilledCollector.Seed);
        await using var server = new KilledCollector(_temp.File(endpoint), "--endpoint", endpoint);
        await server.StartAsync();
        uint first = Collector.NewClientAddresses().Value;
        PatientClient[] clients = [.. Enumerable.Range(0, 48).Select(i => new PatientClient(new(first + (uint)i), server.Address, server.Port, RandomBytes(random, 30_000), 1448, key: new byte[512]))];
        try
        {
            foreach (var client in clients)
            {
                for (int packet = 0; packet < client.Packets.Count - 1; packet++)
                    client.SendUntilAcked(packet);
            }

            foreach (var some in clients.Chunk(6))
            {
                foreach (var client in some)
                    client.Send(client.Packets.Count - 1);
                await Task.Delay(random.Next(25));
                await server.KillAsync();
                await server.StartAsync();
                foreach (var client in some)
                    client.SendUntilAcked(client.Packets.Count - 1);
            }
        }
        finally
        {
            Array.ForEach(clients, client => client.Dispose());
        }

        await server.LingersNoMoreAsync();
        var dumps = server.Running.Dumps;
        Assert.Equal(clients.Select(client => client.Address.ToString()).Order(), dumps.Select(dump => dump.Manifest.Client).Order());
        Assert.All(dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        Assert.All(dumps, dump => Assert.Equal(clients.Single(client => client.Address.ToString() == dump.Manifest.Client).Content, File.ReadAllBytes(dump.VmcorePath)));
        // Files of an index that no manifest tells of would be a dump's second half.
        Assert.Equal(dumps.Count, Directory.GetFiles(server.Directory, "info.*").Count(path => new FileInfo(path).LinkTarget is null));
        Assert.Empty(server.LeftOvers());
        Assert.Empty(DumpCatalog.Read(server.Directory).Problems);
    }

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Told_to_stop_it_leaves_running_dumps_to_the_next_start_at_once(string endpoint)
    {
        await using var server = new KilledCollector(_temp.File("dumps"), "--endpoint", endpoint);
        await server.StartAsync();
        uint first = Collector.NewClientAddresses().Value;
        PatientClient[] clients = [.. Enumerable.Range(0, 40).Select(i => new PatientClient(new(first + (uint)i), server.Address, server.Port, new byte[30_000], 1448))];
        try
        {
            foreach (var client in clients)
            {
                for (int packet = 0; packet < 10; packet++)
                    client.SendUntilAcked(packet);
            }

            long start = Stopwatch.GetTimestamp();
            await server.StopAsync();
            var stopped = Stopwatch.GetElapsedTime(start);
            await server.StartAsync();
            foreach (var client in clients)
                client.SendUntilAcked(10);
            var resumed = Stopwatch.GetElapsedTime(start) - stopped;
            output.WriteLine($"stopped in {stopped.TotalSeconds:F3} s, resumed in {resumed.TotalSeconds:F3} s");

            // A second or two on an idle machine; this one may be busy.
            Assert.InRange(stopped.TotalSeconds, 0, 8);
            Assert.InRange(resumed.TotalSeconds, 0, 8);
            foreach (var client in clients)
            {
                for (int packet = 11; packet < client.Packets.Count; packet++)
                    client.SendUntilAcked(packet);
            }
        }
        finally
        {
            Array.ForEach(clients, client => client.Dispose());
        }

        Assert.Equal(40, server.Running.Dumps.Count(dump => dump.Manifest.Status == DumpStatus.Complete));
    }

    /// <summary>A script may take its time, a kernel may not.</summary>
    [Fact]
    public async Task Told_to_stop_while_a_script_runs_it_serves_running_dumps_until_the_script_has_ended()
    {
        string script = _temp.File("script"), go = _temp.File("go");
        File.WriteAllText(script, $"#!/bin/sh\nuntil [ -e '{go}' ]; do sleep 0.05; done\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using var server = new KilledCollector(_temp.File("dumps"), "-i", script);
        await server.StartAsync();
        uint first = Collector.NewClientAddresses().Value;
        using var ended = new PatientClient(new(first), server.Address, server.Port, new byte[30_000], 1448);
        using var running = new PatientClient(new(first + 1), server.Address, server.Port, new byte[30_000], 1448);
        running.SendUntilAcked(0);
        for (int packet = 0; packet < ended.Packets.Count; packet++)
            ended.SendUntilAcked(packet);

        var stopped = server.StopAsync();
        await server.Running.PrintsAsync("Shutting down...");
        for (int packet = 1; packet < 10; packet++)
            running.SendUntilAcked(packet);
        Assert.False(stopped.IsCompleted);
        File.WriteAllText(go, "");
        await stopped;
        Assert.Equal(0, Assert.Single(DumpCatalog.Read(server.Directory).Dumps).Manifest.Script?.ExitCode);

        await server.StartAsync();
        for (int packet = 10; packet < running.Packets.Count; packet++)
            running.SendUntilAcked(packet);
        Assert.All(server.Running.Dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        await server.StopAsync();
    }

    [Fact]
    public async Task Draining_it_finishes_running_dumps_and_answers_no_herald()
    {
        await using var server = new KilledCollector(_temp.File("dumps"), "--drain", "30");
        await server.StartAsync();
        uint first = Collector.NewClientAddresses().Value, next = first + 2;
        using var running = new PatientClient(new(first), server.Address, server.Port, new byte[30_000], 1448);
        using var late = new PatientClient(new(first + 1), server.Address, server.Port, new byte[30_000], 1448);
        running.SendUntilAcked(0);
        running.SendUntilAcked(1);

        var stopped = server.StopAsync();
        await server.Running.PrintsAsync("Shutting down...");
        // It prints that before it stops to answer; a herald that came in between was answered rightly.
        await Eventually.Holds(
            () =>
            {
                using var another = new PatientClient(new(next++), server.Address, server.Port, new byte[1], 1);
                another.Send(0);
                return !another.IsAcked(0, TimeSpan.FromMilliseconds(100));
            },
            "heralds are not answered any more");
        late.Send(0);
        for (int packet = 2; packet < running.Packets.Count; packet++)
            running.SendUntilAcked(packet);
        await stopped;

        Assert.False(late.IsAcked(0, TimeSpan.Zero));
        Assert.Equal(DumpStatus.Complete, Assert.Single(DumpCatalog.Read(server.Directory).Dumps).Manifest.Status);
    }

    private static byte[] RandomBytes(Random random, int count)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
