using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Scripts;

/// <summary>The script's first argument.</summary>
/// <remarks>Source: protocol.md, "Files and conventions of netdumpd".</remarks>
public static class ScriptReason
{
    public const string Success = "success";
    public const string Timeout = "timeout";
    public const string Error = "error";

    /// <summary>Success where all that the client sent is there, timeout where it fell silent, error for everything else.</summary>
    public static string Of(DumpStatus status, EndReason reason) => (status, reason) switch
    {
        (DumpStatus.Complete or DumpStatus.Headerless, _) => Success,
        (DumpStatus.Incomplete, EndReason.ClientTimedOut) => Timeout,
        _ => Error,
    };
}
