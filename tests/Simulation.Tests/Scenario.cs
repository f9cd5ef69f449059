using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>Who dumps.</summary>
internal enum ClientKind
{
    Kernel,

    /// <summary>netdumpd's own test client: herald seqno 0, one packet at a time, no KDH.</summary>
    NetdumpClient,

    /// <summary>A home-made client that heralds like a kernel but waits for each ack.</summary>
    OnePacketClient,
}

/// <summary>How much the network loses.</summary>
internal enum LossLevel
{
    None,
    Light,
    Moderate,

    /// <summary>So much that a client may fail or a burst's end be guessed wrong; only honesty is asked of the server.</summary>
    Heavy,
}

/// <summary>Which form of kernel bug 3 the client has.</summary>
internal enum StaleState
{
    None,

    /// <summary>The header page comes at a stale offset and never at 0.</summary>
    FirstBurstElsewhere,

    /// <summary>Stale bytes come first, then the dump from offset 0.</summary>
    StaleBurstFirst,
}

/// <summary>Everything that is chosen for one run; a pure function of the seed.</summary>
internal sealed partial record Scenario
{
    public const int ThemeCount = 17;

    /// <summary>Virtual time at which the client panics.</summary>
    public const long StartUs = 5_000_000;

    public required int Seed { get; init; }

    public ClientKind Client { get; init; }
    public AckBitmap AckBitmap { get; init; } = AckBitmap.Modulo32;
    public int Mtu { get; init; } = 1500;
    public KernelEra Era { get; init; } = KernelEra.FreeBsd13;
    public int DumpBytes { get; init; } = 512 << 10;

    /// <summary>Bursts of 1 to 16 pages instead of 64 KiB.</summary>
    public bool IsFragmented { get; init; }

    /// <summary>With <see cref="IsFragmented"/>, how often a burst is the 11 pages that end with a full packet at MTU 1460.</summary>
    public double ElevenPageProbability { get; init; }
    public double PauseProbability { get; init; }
    public bool HasKey { get; init; }
    public int HeraldPathBytes { get; init; }
    public bool SendsFinished { get; init; } = true;
    public StaleState Stale { get; init; }
    public ulong StaleOffset { get; init; }
    public int StaleBytes { get; init; }
    public long NicBytesPerSecond { get; init; }
    public int NicStalls { get; init; }
    public long DiesAfterUs { get; init; } = long.MaxValue;

    public LossLevel Loss { get; init; }
    public double LossToServer { get; init; }
    public double LossToClient { get; init; }

    /// <summary>From then on nothing is lost by chance.</summary>
    public long HealsAtUs { get; init; } = long.MaxValue;
    public double Duplicate { get; init; }
    public long JitterUs { get; init; } = 20;
    public double Late { get; init; }
    public long LateUs { get; init; }
    public TargetedDrop Drop { get; init; }

    /// <summary>The first acks of the herald that are lost.</summary>
    public int HeraldAcksLost { get; init; }

    /// <summary>A copy of the herald arrives this much later; 0 for none.</summary>
    public long LateHeraldUs { get; init; }
    public long BlackoutFromUs { get; init; } = long.MaxValue;
    public long BlackoutUs { get; init; }
    public bool BlackoutToServer { get; init; }
    public bool BlackoutToClient { get; init; }

    public long ServerPollUs { get; init; } = 30;
    public int BatchMax { get; init; } = 64;
    public bool TicksWhileStoring { get; init; }
    public double DiskStall { get; init; }
    public long DiskStallUs { get; init; }
    public long NoSpaceFromUs { get; init; } = long.MaxValue;
    public long NoSpaceUs { get; init; }
    public long CommitUs { get; init; } = 3_000;

    /// <summary>Which of the clients of a storm, from 0.</summary>
    public int StormIndex { get; init; }

    /// <summary>The client panics this much after <see cref="StartUs"/>.</summary>
    public long StartsLaterUs { get; init; }

    /// <summary>How often the server's process dies.</summary>
    public int Kills { get; init; }

    /// <summary>It dies within this many steps of its start, mostly much earlier.</summary>
    public int KillWithinSteps { get; init; } = 100;

    /// <summary>Or at an instant within this time of its start.</summary>
    public long KillWithinUs { get; init; } = 1_000_000;

    /// <summary>How often it is the machine that crashes.</summary>
    public double MachineCrash { get; init; }

    /// <summary>How long a machine takes to come back, at least.</summary>
    public long RebootUs { get; init; }

    /// <summary>Time between checkpoints; 0 for none.</summary>
    public long CheckpointUs { get; init; }

    /// <summary>How often an fsync of the data fails.</summary>
    public double SyncErrors { get; init; }

    /// <summary>How often a write of data fails.</summary>
    public double DataErrors { get; init; }

    /// <summary>How often a write to the ledger, or of what describes the dump, fails.</summary>
    public double LedgerErrors { get; init; }

    public int PayloadBytes => Client == ClientKind.NetdumpClient ? 1000
        : Era == KernelEra.FreeBsd12 ? Math.Min(KernelClientOptions.PayloadOfMtu(Mtu), KernelClientOptions.FreeBsd12MaxPayloadBytes)
        : KernelClientOptions.PayloadOfMtu(Mtu);

    /// <summary>
    /// A burst can look as if it ended earlier than it does: everything above a full packet on a page boundary is lost in two rounds
    /// (protocol.md, "Ack rules that are safe", 3 and 5). The hole must then be reported.
    /// </summary>
    public bool MayMisjudgeEnd => Loss == LossLevel.Heavy
        || (Drop is { Kind: DropKind.UpperHalf, Times: > 1 } && 32 * PayloadBytes % WellKnown.PageBytes == 0);

    /// <summary>Nothing happens that would excuse a client that fails or a dump that is not complete.</summary>
    public bool MustComplete => !MayMisjudgeEnd && DiesAfterUs == long.MaxValue && MachineCrash == 0 && SyncErrors == 0 && DataErrors == 0 && LedgerErrors == 0 && !IsHonestyOnly;

    /// <summary>Troubles come together that may use up the client's patience.</summary>
    public bool IsHonestyOnly { get; init; }

    /// <summary>No packet and no ack is lost or very late: nothing has to be sent twice.</summary>
    public bool IsLossless { get; init; }

    public bool InBlackout(long nowUs, bool toServer) =>
        nowUs >= BlackoutFromUs && nowUs - BlackoutFromUs < BlackoutUs && (toServer ? BlackoutToServer : BlackoutToClient);

    public bool IsFull(long nowUs) => nowUs >= NoSpaceFromUs && nowUs - NoSpaceFromUs < NoSpaceUs;

    public static Scenario FromSeed(int seed)
    {
        var random = new Random(seed);
        return WithTheme(WithIncidentals(seed, random), seed % ThemeCount, seed / ThemeCount, random);
    }

    /// <summary>What varies in every run: the client's build and a little of every trouble.</summary>
    private static Scenario WithIncidentals(int seed, Random random)
    {
        var scenario = new Scenario
        {
            Seed = seed,
            Mtu = PickMtu(random),
            Era = random.Next(4) == 0 ? KernelEra.FreeBsd12 : KernelEra.FreeBsd13,
            DumpBytes = random.Next(25, random.Next(40, 256)) * WellKnown.PageBytes,
            IsFragmented = random.Next(3) == 0,
            HasKey = random.Next(4) == 0,
            HeraldPathBytes = random.Next(6) == 0 ? random.Next(1, 1023) : 0,
            PauseProbability = random.Next(8) == 0 ? 0.1 : 0,
            ServerPollUs = random.Next(3) switch { 0 => 1, 1 => random.Next(10, 100), _ => random.Next(100, 3_000) },
            BatchMax = random.Next(3) switch { 0 => 1, 1 => random.Next(2, 40), _ => 256 },
            TicksWhileStoring = random.Next(2) == 0,
            CommitUs = random.Next(4) == 0 ? random.Next(1, 2_500_000) : random.Next(1, 20_000),
            JitterUs = random.Next(3) switch { 0 => 0, 1 => random.Next(1, 30), _ => random.Next(30, 2_000) },
        };
        if (scenario.Era == KernelEra.FreeBsd12)
            scenario = scenario with { IsFragmented = true };
        if (random.Next(4) == 0)
            scenario = scenario with { NicBytesPerSecond = random.Next(10_000_000, 1_250_000_000) };
        if (random.Next(5) == 0)
            scenario = scenario with { Duplicate = random.NextDouble() * 0.05 };
        if (random.Next(5) == 0)
            scenario = WithLightLoss(scenario, random);
        if (random.Next(6) == 0)
            scenario = scenario with { DiskStall = random.NextDouble() * 0.1, DiskStallUs = random.Next(1, 60_000) };
        return scenario;
    }

    private static Scenario WithTheme(Scenario scenario, int theme, int variant, Random random) => theme switch
    {
        0 => scenario with { IsLossless = true, Loss = LossLevel.None, LossToClient = 0, LossToServer = 0, CommitUs = Math.Min(scenario.CommitUs, 900_000) },
        1 or 2 or 3 or 4 => scenario with
        {
            Mtu = 1500,
            Era = KernelEra.FreeBsd13,
            IsFragmented = false,
            DumpBytes = random.Next(40, 100) * WellKnown.PageBytes,
            Drop = new((DropKind)((int)DropKind.AliasLow + (variant * 4 + theme) % 3), random.Next(1, 3), random.Next(1, 3), variant % 14),
        },
        5 => scenario with { Drop = new(random.GetItems(TargetedDrop.Ends, 1)[0], random.Next(1, 4), 1 + variant % 2), DumpBytes = scenario.DumpBytes + 4 * WellKnown.BurstBytes },
        6 => WithLightLoss(scenario, random),
        7 => scenario with { Loss = LossLevel.Moderate, LossToServer = 0.02 + random.NextDouble() * 0.06, LossToClient = random.NextDouble() * 0.08 },
        8 => scenario with
        {
            Loss = LossLevel.Heavy,
            LossToServer = random.NextDouble() * 0.6,
            LossToClient = random.NextDouble() * 0.6,
            HealsAtUs = StartUs + random.Next(1, 30_000_000),
        },
        9 => scenario with
        {
            Mtu = 1460,
            Era = KernelEra.FreeBsd13,
            IsFragmented = true,
            ElevenPageProbability = 0.3,
            Drop = variant % 3 == 0 ? new(random.GetItems(TargetedDrop.Ends, 1)[0], random.Next(1, 6), 1) : default,
        },
        10 => scenario with
        {
            JitterUs = random.Next(1, 20_000),
            Duplicate = random.NextDouble() * 0.3,
            Late = random.NextDouble() * 0.05,
            LateUs = random.Next(10_000, 3_000_000),
            HeraldAcksLost = random.Next(0, 4),
            LateHeraldUs = random.Next(2) == 0 ? random.Next(1, 6_000_000) : 0,
        },
        11 => scenario with
        {
            // A disk on which no burst can be stored within the client's patience is nobody's fault but the disk's.
            DiskStall = random.NextDouble() * 0.2,
            DiskStallUs = scenario.BatchMax > 40 ? random.Next(1, 2_000_000) : random.Next(1, 30_000),
            NoSpaceFromUs = StartUs + random.Next(1, 200_000),
            NoSpaceUs = random.Next(1, 6_000_000),
        },
        12 => scenario with { NicBytesPerSecond = random.Next(5_000_000, 200_000_000), NicStalls = random.Next(1, 6) },
        13 => WithStaleState(scenario, variant, random),
        14 => scenario with { DiesAfterUs = random.Next(3) == 0 ? random.Next(1, 3_000_000) : random.Next(1, 60_000) },
        15 => WithOtherClient(scenario, variant % 3, random),
        _ => scenario with
        {
            BlackoutFromUs = StartUs + random.Next(0, 60_000),
            BlackoutUs = random.Next(1, 8_000_000),
            BlackoutToServer = variant % 3 != 0,
            BlackoutToClient = variant % 3 != 1,
        },
    };

    private static Scenario WithLightLoss(Scenario scenario, Random random) =>
        scenario with { Loss = LossLevel.Light, LossToServer = random.NextDouble() * 0.02, LossToClient = random.NextDouble() * 0.02 };

    private static Scenario WithStaleState(Scenario scenario, int variant, Random random)
    {
        // An earlier dump may have been longer than this one, so its offset may lie beyond the end.
        int pages = scenario.DumpBytes / WellKnown.PageBytes;
        ulong page = random.Next(4) == 0 ? (ulong)random.Next(pages, 1 << 20) : (ulong)random.Next(2, pages - 1);
        return scenario with
        {
            Stale = variant % 2 == 0 ? StaleState.FirstBurstElsewhere : StaleState.StaleBurstFirst,
            StaleOffset = page * WellKnown.PageBytes,
            StaleBytes = random.Next(1, 17) * WellKnown.PageBytes,
        };
    }

    private static Scenario WithOtherClient(Scenario scenario, int which, Random random)
    {
        if (which == 0)
            return scenario with { SendsFinished = false };

        return scenario with
        {
            Client = which == 1 ? ClientKind.NetdumpClient : ClientKind.OnePacketClient,
            Mtu = 1500,
            Era = KernelEra.FreeBsd13,
            DumpBytes = random.Next(100_000, 200_000),
            HasKey = false,
            HeraldPathBytes = 0,
            Loss = LossLevel.None,
            LossToServer = 0,
            LossToClient = 0,
        };
    }

    private static int PickMtu(Random random) => random.Next(10) switch
    {
        0 or 1 => 576,
        2 => 1460,
        3 or 4 => 9000,
        5 => random.Next(576, 9001),
        _ => 1500,
    };
}
