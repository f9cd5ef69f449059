using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A node dies in mid-dump, and another one that has nothing of the dump goes on with it: what each has must make the dump together.</summary>
/// <remarks>NETDUMP_SIM_SEED=n replays one seed, NETDUMP_SIM_SEEDS=n sets how many are run.</remarks>
public sealed class ContinuationTests
{
    private const int DefaultSeeds = 3_000;

    [Fact]
    public void What_two_nodes_acked_is_the_dump_and_the_second_promises_nothing_for_the_first()
    {
        int only = Setting("NETDUMP_SIM_SEED") ?? -1;
        int first = Math.Max(only, 0), count = only >= 0 ? 1 : Setting("NETDUMP_SIM_SEEDS") ?? DefaultSeeds;
        var met = new Dictionary<string, int>();
        var broken = new List<string>();
        Parallel.For(first, first + count, seed =>
        {
            var handover = new Handover(seed);
            string? problem;
            try
            {
                problem = handover.Run();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                problem = e.ToString();
            }

            lock (met)
            {
                foreach (string what in handover.Met)
                    met[what] = met.GetValueOrDefault(what) + 1;
                if (problem is not null)
                    broken.Add($"seed {seed}: {problem}");
            }
        });

        Assert.True(broken.Count == 0, $"{broken.Count} of {count}:\n{string.Join('\n', broken.Order(StringComparer.Ordinal).Take(20))}");
        // A run that never met these would say nothing.
        if (count < DefaultSeeds)
            return;
        foreach (string rare in (string[])[Handover.GaveUp, Handover.Misjudged])
            Assert.True(met.GetValueOrDefault(rare) < count / 100, $"{rare}: {met.GetValueOrDefault(rare)} of {count}");
        Assert.Empty(Handover.All.Where(what => met.GetValueOrDefault(what) < 3).Select(what => $"{what}: {met.GetValueOrDefault(what)}"));
    }

    [Theory]
    [InlineData(ClientState.Key, Handover.Complete)]
    [InlineData(ClientState.Vmcore, Handover.Incomplete)]
    [InlineData(ClientState.Kdh, Handover.Incomplete)]
    [InlineData(ClientState.Finished, Handover.NothingLeft)]
    public void Only_who_has_the_key_and_every_byte_has_the_dump(ClientState cutIn, string outcome)
    {
        var handover = new Handover(7) { CutIn = cutIn };

        Assert.Null(handover.Run());
        Assert.Contains(outcome, handover.Met);
    }

    [Fact]
    public void Finished_alone_is_not_answered()
    {
        var session = DumpSession.Continue(new(), [], 0);

        session.OnMessage(new(MessageType.Finished, 9, 0, 0), [], 0, 0);
        session.OnStored(0);

        Assert.Equal(SessionPhase.Closed, session.Phase);
        Assert.True(session.Acks.IsEmpty);
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
