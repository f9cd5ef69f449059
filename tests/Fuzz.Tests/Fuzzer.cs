using System.Diagnostics;
using System.Globalization;

namespace NetdumpCollector.Fuzz.Tests;

/// <summary>Gives a target one input after the other, keeps those that went a new way, and makes what fails short.</summary>
/// <remarks>The same seed gives the same inputs.</remarks>
internal sealed class Fuzzer(FuzzTarget target, int seed)
{
    private const int MaxKept = 2048;
    private const int MaxMinimisingRuns = 4000;

    /// <summary>No input takes a hundredth of it.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly Random _random = new(seed);
    private readonly FuzzRun _run = new();
    private readonly List<byte[]> _kept = [];
    private readonly HashSet<ulong> _features = [];
    private byte[] _running = [];
    private long _runningSince;

    /// <summary>Ways that were taken so far.</summary>
    public int Features => _features.Count;

    /// <summary>Most managed bytes that one input made our code allocate.</summary>
    public long MostAllocatedBytes { get; private set; }

    /// <summary>Runs the seeds and then so many inputs made of them. Throws with the shortest input found that fails as the first one did.</summary>
    public void Run(long inputs)
    {
        _runningSince = Stopwatch.GetTimestamp();
        using var watchdog = new Timer(_ => EndHang(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        foreach (byte[] input in target.Seeds())
        {
            Take(input);
            _kept.Add(input);
        }

        var mutator = new Mutator(_random, target);
        for (long i = 0; i < inputs; i++)
        {
            byte[] input = mutator.Mutate(_kept[_random.Next(_kept.Count)], _kept[_random.Next(_kept.Count)]);
            if (!Take(input))
                continue;
            if (_kept.Count < MaxKept)
                _kept.Add(input);
            else
                _kept[_random.Next(_kept.Count)] = input;
        }
    }

    /// <summary>What is wrong with the input, or null.</summary>
    public string? FailureOf(byte[] input)
    {
        Volatile.Write(ref _running, input);
        Volatile.Write(ref _runningSince, Stopwatch.GetTimestamp());
        _run.Reset();
        try
        {
            target.Run(input, _run);
        }
        catch (Exception e)
        {
            return e.ToString();
        }

        return _run.AllocatedBytes <= target.MostAllocatedBytes(input.Length)
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"{_run.AllocatedBytes} bytes were allocated where {target.MostAllocatedBytes(input.Length)} are the most for an input of {input.Length}");
    }

    /// <returns>The input went a new way.</returns>
    private bool Take(byte[] input)
    {
        string? failure = FailureOf(input);
        // Code that runs for the first time allocates what it then keeps.
        if (failure is not null && (failure = FailureOf(input)) is not null)
        {
            byte[] shortest = Minimise(input, failure);
            throw new FailedInputException($"target {target.Name}, seed {seed}: {FailureOf(shortest) ?? failure}\n{Replay(shortest)}");
        }

        MostAllocatedBytes = Math.Max(MostAllocatedBytes, _run.AllocatedBytes);
        bool isNew = false;
        foreach (ulong feature in _run.Features)
            isNew |= _features.Add(feature);
        return isNew;
    }

    private byte[] Minimise(byte[] input, string failure)
    {
        string kind = KindOf(failure);
        int runs = 0;
        for (int size = Math.Max(target.UnitBytes, input.Length / 2 / target.UnitBytes * target.UnitBytes); size >= target.UnitBytes; size = size / 2 / target.UnitBytes * target.UnitBytes)
        {
            for (int at = 0; at + size <= input.Length && runs < MaxMinimisingRuns;)
            {
                byte[] shorter = [.. input.AsSpan(0, at), .. input.AsSpan(at + size)];
                byte[] repaired = [.. shorter];
                target.Repair(repaired);
                runs++;
                if (FailureOf(shorter) is string same && KindOf(same) == kind)
                    input = shorter;
                else if (FailureOf(repaired) is string still && KindOf(still) == kind)
                    input = repaired;
                else
                    at += size;
            }
        }

        return input;
    }

    /// <summary>The first line without its numbers.</summary>
    private static string KindOf(string failure) => string.Concat(failure.Split('\n')[0].Where(c => !char.IsAsciiDigit(c)));

    private string Replay(byte[] input) => $"input: {Convert.ToHexStringLower(input)}\nagain: bench/fuzz.sh --target {target.Name} --hex INPUT";

    private void EndHang()
    {
        if (Stopwatch.GetElapsedTime(Volatile.Read(ref _runningSince)) > s_patience)
            Environment.FailFast($"target {target.Name}, seed {seed}: an input does not end\n{Replay(Volatile.Read(ref _running))}");
    }
}

/// <summary>An input did what none may do; the message has everything to repeat it.</summary>
internal sealed class FailedInputException(string message) : Exception(message);
