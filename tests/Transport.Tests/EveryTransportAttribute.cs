using System.Reflection;
using Xunit.Sdk;

namespace NetdumpCollector.Transport.Tests;

/// <summary>Runs a theory once on each transport that works here.</summary>
internal sealed class EveryTransportAttribute : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
        Transports.Available.Select(transport => new object[] { transport.Name });
}
