using NetdumpCollector.Actors.Scripts;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Scripts;

public sealed class ScriptReasonTests
{
    [Theory]
    [InlineData(DumpStatus.Complete, EndReason.Finished, "success")]
    [InlineData(DumpStatus.Complete, EndReason.SilentAfterHeader, "success")]
    [InlineData(DumpStatus.Headerless, EndReason.Finished, "success")]
    [InlineData(DumpStatus.Incomplete, EndReason.ClientTimedOut, "timeout")]
    [InlineData(DumpStatus.Incomplete, EndReason.Finished, "error")]
    [InlineData(DumpStatus.Incomplete, EndReason.WriteError, "error")]
    [InlineData(DumpStatus.Incomplete, EndReason.Superseded, "error")]
    [InlineData(DumpStatus.Damaged, EndReason.Finished, "error")]
    [InlineData(DumpStatus.Damaged, EndReason.ClientTimedOut, "error")]
    public void Says_what_netdumpds_scripts_expect(DumpStatus status, EndReason reason, string expected) => Assert.Equal(expected, ScriptReason.Of(status, reason));
}
