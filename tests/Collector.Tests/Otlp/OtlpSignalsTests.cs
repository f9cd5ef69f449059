using NetdumpCollector.Collector.Otlp;

namespace NetdumpCollector.Collector.Tests.Otlp;

public sealed class OtlpSignalsTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("OTEL_SERVICE_NAME=x OTEL_TRACES_SAMPLER=always_on", "")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=", "")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317", "traces metrics logs")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317 OTEL_SDK_DISABLED=True", "")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317 OTEL_SDK_DISABLED=false", "traces metrics logs")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317 OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=console", "traces")]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://h:4318/v1/traces", "traces")]
    [InlineData("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://h:4318/v1/logs OTEL_TRACES_EXPORTER=otlp", "traces logs")]
    [InlineData("OTEL_METRICS_EXPORTER=console,otlp", "metrics")]
    public void Are_what_the_standard_variables_want(string variables, string signals)
    {
        var environment = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(variable => variable.Split('=', 2)).ToDictionary(parts => parts[0], parts => parts[1]);

        var wanted = OtlpSignals.Of(environment);

        Assert.Equal(signals, string.Join(' ', new[] { wanted.Traces ? "traces" : null, wanted.Metrics ? "metrics" : null, wanted.Logs ? "logs" : null }.Where(signal => signal is not null)));
        Assert.Equal(signals.Length == 0, wanted.IsNone);
    }
}
