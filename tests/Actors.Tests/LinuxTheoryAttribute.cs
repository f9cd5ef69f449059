using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests;

/// <summary>A theory about what only the Linux transport does, skipped where it does not work.</summary>
internal sealed class LinuxTheoryAttribute : TheoryAttribute
{
    public LinuxTheoryAttribute()
    {
        if (!Transports.TryGet("linux", out _))
            Skip = "The Linux transport does not work here.";
    }
}
