namespace NetdumpCollector.Simulation.Tests;

/// <summary>The server's process died where it stood.</summary>
internal sealed class ServerKilledException : Exception;

/// <summary>What a server's process does that ends with it.</summary>
internal interface IServerProcess
{
    /// <summary>How long the server may be away now without the client having lost its last chance, in microseconds.</summary>
    long AllowanceUs { get; }

    /// <summary>The process is gone; with <paramref name="machine"/>, everything that was not synced may be, too.</summary>
    void OnKilled(bool machine, long awayUs, long nowUs);

    /// <summary>Another process begins, on what lies in the directory.</summary>
    void OnStarted(long nowUs);
}

/// <summary>When the one process that serves all clients of a run dies and comes back.</summary>
internal sealed class ServerLife(Scenario scenario)
{
    /// <summary>From its herald to its end a kernel sits through 11 s of silence; this is what it may be made to, per burst.</summary>
    public const long MaxAwayUs = 8_000_000;

    private const int PointsAgain = 50;
    private const long AgainUs = 500_000;

    private readonly Random _random = new(scenario.Seed ^ 0x11fe);
    private readonly List<IServerProcess> _processes = [];
    private int _killsLeft = scenario.Kills;
    private int _pointsLeft = -1;
    private long _killUs = long.MaxValue;
    private long _startUs = long.MaxValue;

    public bool IsUp => _startUs == long.MaxValue;

    /// <summary>When the process comes back, <see cref="long.MaxValue"/> while it runs.</summary>
    public long StartsUs => _startUs;

    public int Kills { get; private set; }

    public int Crashes { get; private set; }

    public long NextUs => Math.Min(_killUs, _startUs);

    public FaultCoverage Faults { get; } = FaultCoverage.Empty();

    public void Add(IServerProcess process) => _processes.Add(process);

    /// <summary>A step of the server's at which it can die.</summary>
    /// <exception cref="ServerKilledException">It does.</exception>
    public void Point()
    {
        if (Strikes())
            throw new ServerKilledException();
    }

    /// <summary>The server dies at this step; the caller does what is left of it and throws.</summary>
    public bool Strikes()
    {
        if (_pointsLeft <= 0 || --_pointsLeft > 0)
            return false;
        if (MayDie)
            return true;
        _pointsLeft = PointsAgain;
        return false;
    }

    /// <summary>Draws when the process will die next.</summary>
    public void Arm(long nowUs)
    {
        _pointsLeft = -1;
        _killUs = long.MaxValue;
        if (_killsLeft == 0)
            return;
        if (_random.Next(4) == 0)
            _killUs = nowUs + (long)Math.Exp(_random.NextDouble() * Math.Log(scenario.KillWithinUs));
        else
            _pointsLeft = (int)Math.Exp(_random.NextDouble() * Math.Log(scenario.KillWithinSteps)) + 1;
    }

    public void Step(long nowUs)
    {
        if (_startUs <= nowUs)
            Start(nowUs);
        else if (MayDie)
            Kill(nowUs);
        else
            _killUs = nowUs + AgainUs;
    }

    /// <summary>Every client still has the patience for one more restart.</summary>
    private bool MayDie => _processes.TrueForAll(process => process.AllowanceUs > 0);

    public void Kill(long nowUs)
    {
        _killsLeft--;
        bool machine = _random.NextDouble() < scenario.MachineCrash;
        long allowanceUs = _processes.Min(process => process.AllowanceUs);
        if (machine)
            allowanceUs = Math.Max(allowanceUs, scenario.RebootUs);
        long awayUs = _random.Next(3) switch { 0 => allowanceUs, 1 => _random.NextInt64(1, allowanceUs + 1), _ => Math.Min(allowanceUs, _random.NextInt64(1, 300_000)) };
        Kills++;
        Crashes += machine ? 1 : 0;
        Faults.Count(machine ? FaultCoverage.MachineCrashed : FaultCoverage.Killed);
        if (awayUs > 7_000_000)
            Faults.Count(FaultCoverage.LongAway);
        _killUs = long.MaxValue;
        _pointsLeft = -1;
        _startUs = nowUs + awayUs;
        foreach (var process in _processes)
            process.OnKilled(machine, awayUs, nowUs);
    }

    private void Start(long nowUs)
    {
        _startUs = long.MaxValue;
        Arm(nowUs);
        foreach (var process in _processes)
            process.OnStarted(nowUs);
    }
}
