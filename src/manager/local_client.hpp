// Clients of managers of this family.
#pragma once

#include <memory>

#include "manager/client.hpp"

namespace multiprocessing::managers {

// The client, in this process, of the manager with this Root (channel.hpp).
[[nodiscard]] std::shared_ptr<Client> local_client(const memory::Ref& root);

}  // namespace multiprocessing::managers
