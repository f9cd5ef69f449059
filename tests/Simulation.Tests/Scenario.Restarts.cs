using NetdumpCollector.Protocol;

namespace NetdumpCollector.Simulation.Tests;

/// <content>Runs in which the server, its machine or its disk fails.</content>
internal sealed partial record Scenario
{
    public const int RestartThemeCount = 12;

    /// <summary>The clients of one run, of which the first says what happens to the server.</summary>
    public static Scenario[] RestartsFromSeed(int seed)
    {
        var random = new Random(seed ^ 0x2e57a27);
        int theme = seed % RestartThemeCount, clients = theme == 6 ? random.Next(2, 9) : 1;
        var scenarios = new Scenario[clients];
        for (int i = 0; i < clients; i++)
        {
            var scenario = Calm(WithIncidentals(seed, random), random);
            scenario = i == 0 ? WithRestarts(scenario, random) : scenario with
            {
                Kills = scenarios[0].Kills,
                KillWithinSteps = scenarios[0].KillWithinSteps,
                KillWithinUs = scenarios[0].KillWithinUs,
            };
            if (clients > 1)
                scenario = scenario with { StormIndex = i, StartsLaterUs = random.Next(100_000), DumpBytes = random.Next(5, 80) * WellKnown.PageBytes };
            scenarios[i] = WithRestartTheme(scenario, theme, seed / RestartThemeCount, random);
        }

        return scenarios;
    }

    /// <summary>A network and a disk that use up nothing of the client's patience: that is the restarts' to use.</summary>
    private static Scenario Calm(Scenario scenario, Random random) => scenario with
    {
        Loss = LossLevel.None,
        LossToServer = 0,
        LossToClient = 0,
        DiskStallUs = Math.Min(scenario.DiskStallUs, 5_000),
        CommitUs = random.Next(1, 100_000),
        DumpBytes = Math.Min(scenario.DumpBytes, random.Next(25, 150) * WellKnown.PageBytes),
    };

    private static Scenario WithRestarts(Scenario scenario, Random random) => scenario with
    {
        Kills = random.Next(3) == 0 ? 1 : random.Next(2, 12),
        KillWithinSteps = random.Next(3) switch { 0 => 30, 1 => 300, _ => 2_000 },
        KillWithinUs = random.Next(2) == 0 ? 50_000 : 5_000_000,
    };

    private static Scenario WithRestartTheme(Scenario scenario, int theme, int variant, Random random) => theme switch
    {
        0 => scenario,
        1 => WithLightLoss(scenario, random) with { IsHonestyOnly = true },
        2 => WithStaleState(scenario, variant, random),
        3 => scenario with { SendsFinished = false },
        4 => scenario with
        {
            LedgerErrors = random.NextDouble() * 0.1,
            DataErrors = variant % 2 == 0 ? random.NextDouble() * 0.1 : 0,
            NoSpaceFromUs = variant % 2 == 1 ? StartUs + random.Next(1, 200_000) : long.MaxValue,
            NoSpaceUs = random.Next(1, 6_000_000),
            IsHonestyOnly = true,
        },
        5 => scenario with { MachineCrash = 0.5, RebootUs = random.Next(3) == 0 ? random.Next(20_000_000) : 0, CheckpointUs = random.Next(1, 50_000), Stale = default },
        6 => scenario,
        7 => scenario with { CommitUs = random.Next(1, 2_000_000), DumpBytes = random.Next(5, 25) * WellKnown.PageBytes, KillWithinSteps = 1_000 },
        8 => scenario with
        {
            JitterUs = random.Next(1, 20_000),
            Duplicate = random.NextDouble() * 0.3,
            Late = random.NextDouble() * 0.05,
            LateUs = random.Next(10_000, 3_000_000),
            HeraldAcksLost = random.Next(0, 4),
            LateHeraldUs = random.Next(2) == 0 ? random.Next(1, 6_000_000) : 0,
            IsHonestyOnly = true,
        },
        9 => scenario with
        {
            Loss = LossLevel.Heavy,
            LossToServer = random.NextDouble() * 0.4,
            LossToClient = random.NextDouble() * 0.4,
            HealsAtUs = long.MaxValue,
        },
        10 => scenario with { Mtu = random.Next(2) == 0 ? 576 : 1500, HeraldPathBytes = random.Next(1, 1023), KillWithinSteps = 30 },
        _ => WithStaleState(scenario with
        {
            SyncErrors = variant % 3 == 0 ? 0 : random.NextDouble() * 0.2,
            CheckpointUs = random.Next(1, 50_000),
            MachineCrash = variant % 2 * 0.4,
        }, variant, random),
    };
}
