using System.Collections.Concurrent;
using Xunit.Abstractions;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>Our session logic against model kernels on bad networks with bad disks.</summary>
/// <remarks>
/// NETDUMP_SIM_SEED=n replays one seed and prints all that happened; NETDUMP_SIM_SEEDS=n sets how many are run, NETDUMP_SIM_FIRST=n the first one.
/// </remarks>
public sealed class SimulationTests(ITestOutputHelper output)
{
    private const int DefaultSeeds = 12_000;
    private const int DefaultRestartSeeds = 5_000;

    /// <summary>Fewer runs than this need not meet every fault.</summary>
    private const int SeedsForFullCoverage = 5_000;

    [Fact]
    public void No_seed_breaks_a_promise_and_every_fault_is_met() =>
        RunAll(DefaultSeeds, FaultCoverage.Zero, seed => [Scenario.FromSeed(seed)]);

    [Fact]
    public void No_restart_crash_or_disk_fault_breaks_a_promise_and_every_fault_is_met() =>
        RunAll(DefaultRestartSeeds, FaultCoverage.ZeroOfRestarts, Scenario.RestartsFromSeed);

    private void RunAll(int defaultCount, Func<FaultCoverage> zero, Func<int, Scenario[]> scenarios)
    {
        if (Setting("NETDUMP_SIM_SEED") is int only)
        {
            Replay(scenarios(only));
            return;
        }

        int first = Setting("NETDUMP_SIM_FIRST") ?? 0, count = Setting("NETDUMP_SIM_SEEDS") ?? defaultCount;
        var faults = zero();
        var broken = new ConcurrentQueue<(int Seed, string Report)>();
        Parallel.For(first, first + count, new() { MaxDegreeOfParallelism = Environment.ProcessorCount }, FaultCoverage.Empty, (seed, _, local) =>
        {
            try
            {
                Simulation.RunStorm(scenarios(seed), local);
            }
            catch (Exception e)
            {
                broken.Enqueue((seed, e is BrokenPromiseException ? e.Message : $"seed {seed}: {e}\n{scenarios(seed)[0]}"));
            }

            return local;
        }, local =>
        {
            lock (faults)
                faults.Add(local);
        });

        output.WriteLine($"{count} seeds from {first}, {broken.Count} broken\n{faults}");
        var reports = broken.OrderBy(b => b.Seed).ToList();
        Assert.True(
            reports.Count == 0,
            $"{reports.Count} of {count} seeds broke a promise:\n{string.Join('\n', reports.Take(100).Select(r => r.Report.Split('\n')[0]))}\n\n{string.Join("\n\n", reports.Take(5).Select(r => r.Report))}\n{faults}");
        if (count >= SeedsForFullCoverage)
            Assert.Empty(faults.Missed);
    }

    [Fact]
    public void A_seed_always_gives_the_same_run()
    {
        for (int seed = 0; seed < 3 * Scenario.ThemeCount; seed++)
        {
            List<string> once = [], again = [];
            Simulation.RunCollector(Scenario.FromSeed(seed), FaultCoverage.Zero(), once);
            Simulation.RunCollector(Scenario.FromSeed(seed), FaultCoverage.Zero(), again);
            Assert.Equal(once, again);
        }

        for (int seed = 0; seed < 3 * Scenario.RestartThemeCount; seed++)
        {
            List<string> once = [], again = [];
            Simulation.RunStorm(Scenario.RestartsFromSeed(seed), FaultCoverage.Empty(), once);
            Simulation.RunStorm(Scenario.RestartsFromSeed(seed), FaultCoverage.Empty(), again);
            Assert.Equal(once, again);
        }
    }

    private void Replay(Scenario[] scenarios)
    {
        var trace = new List<string>();
        output.WriteLine(string.Join('\n', (object[])scenarios));
        try
        {
            output.WriteLine(string.Join('\n', (object[])Simulation.RunStorm(scenarios, FaultCoverage.Empty(), trace)));
        }
        finally
        {
            output.WriteLine(string.Join('\n', trace));
        }
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;
}
