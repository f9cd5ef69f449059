using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using NetdumpCollector.Collector.Hosting;

namespace NetdumpCollector.Collector.Tests.Hosting;

public sealed class ServerLoggingTests
{
    [Theory]
    [InlineData(LogLevel.Debug, "")]
    [InlineData(LogLevel.Information, "said\n")]
    [InlineData(LogLevel.Warning, "warning: said\n")]
    [InlineData(LogLevel.Error, "error: said\n")]
    public void Plain_lines_say_what_is_worse_than_information_and_leave_out_what_is_less(LogLevel level, string line)
    {
        using var output = new StringWriter();
        new ServerLogging.PlainFormatter(clearsLine: false).Write(new LogEntry<string>(level, "any", default, "said", null, (state, _) => state), null, output);

        Assert.Equal(line, output.ToString());
    }
}
