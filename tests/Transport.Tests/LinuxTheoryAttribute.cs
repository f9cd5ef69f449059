namespace NetdumpCollector.Transport.Tests;

/// <summary>A theory about the Linux transport, skipped where it does not work.</summary>
internal sealed class LinuxTheoryAttribute : TheoryAttribute
{
    public LinuxTheoryAttribute()
    {
        if (!Transports.TryGet("linux", out _))
            Skip = "The Linux transport does not work here.";
    }
}
