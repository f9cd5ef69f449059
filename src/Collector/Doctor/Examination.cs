using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Looks at one thing after the other, each on a thread of its own and for so long at most: a device or name server that hangs is a finding like others.</summary>
/// <param name="io">Where progress is shown, and what ends it.</param>
/// <param name="time">The clock of progress and patience.</param>
/// <param name="tell">Gets each finding as soon as it is there.</param>
internal sealed class Examination(CommandIo io, TimeProvider time, Action<Finding> tell)
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    /// <summary>So long a look may go on when the whole is to end: it tidies up.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(3);

    private readonly ProgressLine _progress = new(io, time);
    private volatile string? _step;

    /// <summary>What the running look is at, for whoever waits; set by any thread.</summary>
    public string? Step
    {
        set => _step = value;
    }

    /// <summary>Takes a look.</summary>
    /// <param name="subject">What is looked at.</param>
    /// <param name="patience">How long it may take.</param>
    /// <param name="whenItHangs">What to do when it takes longer.</param>
    /// <param name="look">The look; it ends early when its token says so.</param>
    /// <returns>What it found; a problem alone when it did not come back.</returns>
    /// <exception cref="OperationCanceledException">The whole is to end.</exception>
    public IReadOnlyList<Finding> Look(string subject, TimeSpan patience, string whenItHangs, Func<CancellationToken, IEnumerable<Finding>> look)
    {
        io.Stop.ThrowIfCancellationRequested();
        _step = null;
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(io.Stop);
        var token = giveUp.Token;
        var looking = Task.Factory.StartNew(() => (IReadOnlyList<Finding>)[.. look(token)], CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        long started = time.GetTimestamp();
        while (!IsOver(looking, s_look) && time.GetElapsedTime(started) < patience && !token.IsCancellationRequested)
            _progress.Show($"looking at {subject}{(_step is string step ? $": {step}" : "")} ...");
        giveUp.Cancel();
        bool isOver = IsOver(looking, s_endPatience);
        _progress.Clear();
        io.Stop.ThrowIfCancellationRequested();
        var findings = isOver ? Result(subject, looking)
            : [new(FindingLevel.Problem, subject, $"did not answer within {patience.TotalSeconds:F0} s", whenItHangs)];
        foreach (var finding in findings)
            tell(finding);
        return findings;
    }

    private static bool IsOver(Task task, TimeSpan patience) => Task.WhenAny(task, Task.Delay(patience)).GetAwaiter().GetResult() == task;

    /// <summary>A look that fails in a way nobody thought of must not keep the others from being taken.</summary>
    private static IReadOnlyList<Finding> Result(string subject, Task<IReadOnlyList<Finding>> looking) => looking switch
    {
        { IsCompletedSuccessfully: true } => looking.Result,
        { Exception.InnerException: OperationCanceledException } => [new(FindingLevel.Problem, subject, "took too long")],
        _ => [new(FindingLevel.Problem, subject, $"could not be looked at: {looking.Exception?.InnerException?.Message}")],
    };
}
