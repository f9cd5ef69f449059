using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Running;
using NetdumpCollector.Micro;

if (args is ["gc", var trace])
    return GcPauses.Print(trace, Console.Out);

// In this process: a project generated beside the build would have to follow the rules of this repository.
var summaries = BenchmarkSwitcher.FromTypes(
[
    typeof(AckSending), typeof(ActorMessages), typeof(CoverageUpdates), typeof(HeaderParsing), typeof(MailboxTurns), typeof(SessionBursts), typeof(SparseScanning),
]).Run(["--inProcess", .. args], DefaultConfig.Instance.AddDiagnoser(MemoryDiagnoser.Default));
return summaries.Any(summary => summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success)) ? 1 : 0;
