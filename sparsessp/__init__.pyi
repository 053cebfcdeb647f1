from sparsessp.application.card import ModelCard as ModelCard
from sparsessp.application.model import Model as Model
from sparsessp.application.model import load_model as load_model
from sparsessp.config import METHODS as METHODS
from sparsessp.config import TOPOLOGIES as TOPOLOGIES
from sparsessp.config import ExperimentSettings as ExperimentSettings
from sparsessp.config import InferenceSettings as InferenceSettings
from sparsessp.config import NetworkSettings as NetworkSettings
from sparsessp.config import TrainingSettings as TrainingSettings
from sparsessp.learning.inference import predict as predict
from sparsessp.learning.training import train as train
from sparsessp.networks.network import build as build
from sparsessp.structures import STRUCTURES as STRUCTURES

__version__: str
