namespace NetdumpCollector.Collector.Cli;

/// <summary>What the process tells its caller; <c>--help</c> and the README list the same.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>The command ran and its result is bad: a client failed, a dump is wrong or not there, <c>doctor</c> found problems, or <c>serve</c> could not end in order.</summary>
    public const int Failed = 1;

    /// <summary>Options or settings that cannot be used.</summary>
    public const int Usage = 2;

    /// <summary>The port, an address or the directory cannot be had.</summary>
    public const int CannotStart = 3;
}
